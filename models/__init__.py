"""What serves: bundles, their store and releases, admission, the cache and the scorers.

Knows nothing of Beam.
"""
