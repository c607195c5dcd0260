"""Drift statistics of scored batches, by window."""
