"""Dataflow: the options that a job sets, and what is checked before it costs money (docs/dataflow.md)."""
