"""Sources and sinks that plug-ins add."""
