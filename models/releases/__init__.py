"""Releases and the timeline that they form: which version answers which event."""
