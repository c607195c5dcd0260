"""The verbs of the console script that are not a run: one module for each thing a person wants done."""
