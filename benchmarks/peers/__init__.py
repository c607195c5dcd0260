"""What the job is compared with."""
