"""Sources and sinks by URI scheme. Only `pipeline.run` knows them."""
