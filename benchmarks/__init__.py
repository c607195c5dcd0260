"""Benchmarks of the job against Beam's documented `RunInference` way and against a bare loop without Beam."""
