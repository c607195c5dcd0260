"""What scorers share that ask a server: addresses, secrets, calls that fail, retries, circuits, tensors.

The kinds are in `models.scorers.remote.protocols`; docs/remote-scorers.md describes them for people.
"""
