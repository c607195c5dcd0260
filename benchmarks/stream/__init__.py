"""The job as a service on Flink and Kafka: throughput, latency, recovery; beside a job that does nothing."""
