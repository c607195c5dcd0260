"""What the job is measured beside."""
