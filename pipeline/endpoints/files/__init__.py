"""Files as input and output, on every file system that Beam knows."""
