"""The kind `pmml`."""
