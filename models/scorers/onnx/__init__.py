"""The kind `onnx`."""
