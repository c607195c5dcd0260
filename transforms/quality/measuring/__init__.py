"""Metrics and their intervals, from sums."""
