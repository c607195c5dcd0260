"""The audit at size: sealing, looking up, verifying."""
