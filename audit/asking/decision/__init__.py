"""One decision: its page, whether it verifies, why it was made, and what would have changed it."""
