"""Dataflow: what a job asks of it, and what is checked before it costs money (docs/dataflow.md)."""
