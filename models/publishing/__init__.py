"""From what a training tool left to a bundle: recognised, described, tried on a sample, written down."""
