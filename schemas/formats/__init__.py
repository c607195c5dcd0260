"""Formats other than Avro, and the types that every format passes to decoding."""
