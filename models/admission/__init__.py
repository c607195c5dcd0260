"""Whether a version may serve: every proof that a bundle gives, and the watcher that asks for it."""
