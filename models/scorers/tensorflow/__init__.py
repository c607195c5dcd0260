"""The kind `tensorflow`."""
