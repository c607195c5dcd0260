"""Sections of a job spec that have rules of their own: of verbs, and of what runs compare."""
