"""Expressions over the columns of events: read, checked and evaluated on Arrow columns (docs/expressions.md)."""
