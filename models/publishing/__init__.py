"""From a training tool's files to a bundle: they are recognised, described, tried on a sample, and written as a
bundle."""
