"""The job spec: read, expanded, checked, resolved."""
