"""The verbs of the console script other than runs: one module for each task."""
