"""The verbs of `halflife audit` that seal, verify and prove."""
