"""Point-in-time windowed features: tiles, queries on them, and the events that wait for both."""
