"""Where a job's labels come from, and how they are read."""
