"""Gates and rollouts, simulated; and what other packages compute on the same numbers."""
