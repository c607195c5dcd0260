"""The kind `sklearn`."""
