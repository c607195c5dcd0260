"""One event for each id, and which events are late."""
