"""The kind `mlflow`."""
