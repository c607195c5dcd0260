"""Avro, reading and writing: vetting of untrusted schemas, blocks to columns and back, container files."""
