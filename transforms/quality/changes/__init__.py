"""Changes of the errors of a version, as labels show them: the error stream, and detectors that read it."""
