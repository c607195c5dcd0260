"""Formats other than Avro, and what every format hands to decoding."""
