"""Versions of tables in a store, and their timelines: kept as models are, by the same code."""
