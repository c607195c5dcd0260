"""`halflife rollout`: a version becomes champion step by step, by a policy and the job's own records of quality."""
