"""What watching costs: drift, quality and pairs on the year of flights."""
