"""Avro, both ways: schemas of others vetted, blocks to columns and back, container files."""
