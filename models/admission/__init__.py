"""Whether a version may serve: every check that a bundle must pass, and the watcher that requests it."""
