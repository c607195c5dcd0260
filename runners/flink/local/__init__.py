"""Flink, Kafka, S3 and a schema registry on one machine, on loopback."""
