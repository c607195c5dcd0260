"""How fast vectors are scored, beside onnxruntime alone: `python -m benchmarks.vectors`."""
