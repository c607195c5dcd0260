"""What scorers share that ask a server: addresses, secrets, calls that fail, retries, circuits, tensors.

The kinds are `models.scorers.tfserving`, `models.scorers.openinference` and `models.scorers.sagemaker`;
docs/remote-scorers.md describes them for people.
"""
