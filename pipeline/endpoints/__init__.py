"""Sources and sinks by URI scheme. Only `pipeline.run` and `pipeline.preflight` know them."""
