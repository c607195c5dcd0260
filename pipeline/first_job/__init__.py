"""`halflife init`: from a file of data to a job that scores it, with what was decided and why."""
