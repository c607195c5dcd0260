"""Command lines: the options of a run, those of the verbs, and how each is read."""
