"""Sums without rounding, and the aggregates that are made of them."""
