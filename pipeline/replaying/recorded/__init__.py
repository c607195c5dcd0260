"""Receipts scored again: what another version would have answered, or whether each answer still comes out the same."""
