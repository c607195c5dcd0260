"""`--only_new`: what earlier runs of a job have scored, and how a run's records become visible all at once."""
