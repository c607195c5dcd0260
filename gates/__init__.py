"""Gates: whether a version goes on, waits or stops, decided under uncertainty from records of quality. No Beam."""
