"""What scorers that call a server share: addresses, secrets, failing calls, retries, circuits, tensors.

The kinds are in `models.scorers.remote.protocols`; docs/remote-scorers.md describes them for people.
"""
