"""The verbs of `halflife audit` that destroy a subject's keys, or forbid it."""
