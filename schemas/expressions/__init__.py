"""Expressions over the columns of events: read, checked and evaluated on Arrow columns (docs/decisions/libraries.md).

No spec uses them yet: conditions, derived columns and filters of events are to be built on them.
"""
