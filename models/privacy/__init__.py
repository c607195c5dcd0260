"""Erasure that keeps the proof: subjects as keyed hashes, values under keys of their own; see docs/decisions/."""
