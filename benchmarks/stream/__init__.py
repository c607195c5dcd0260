"""The job as a service on Flink and Kafka, compared with a job that only copies: throughput, latency, recovery."""
