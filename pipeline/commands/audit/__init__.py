"""The verbs of `halflife audit`."""
