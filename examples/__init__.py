"""Runnable examples: each subfolder takes real data from its source to a job."""
