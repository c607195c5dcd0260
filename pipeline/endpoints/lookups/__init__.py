"""The tables of a job's lookups: opened and checked before a run, and read by each process."""
