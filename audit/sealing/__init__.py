"""Sealing an audit: receipts merged into segments with an index, a hash tree over them, signed checkpoints, proofs."""
