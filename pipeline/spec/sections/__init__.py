"""Sections of a job spec that verbs read and a run does not."""
