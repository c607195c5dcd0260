"""Every event scored by the release in force, and the receipt of each score."""
