"""The kind `lightgbm`."""
