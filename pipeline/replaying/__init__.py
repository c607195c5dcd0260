"""A job's history scored again by candidate versions, apart from the job's records, and compared."""
