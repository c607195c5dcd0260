"""What reasons cost, by kind of model and in a job."""
