"""Windowed features, point in time: tiles, queries on them, and the events that wait for both."""
