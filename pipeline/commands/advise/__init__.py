"""`halflife advise`: whether retraining pays, as the job's own records say; and a hook that is told of it."""
