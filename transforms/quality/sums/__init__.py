"""What answers and labels add up to, exact and mergeable."""
