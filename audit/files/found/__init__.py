"""Receipts that were found: as mappings, decrypted where the keys are there."""
