"""What serves: bundles, their store and releases, admission, the cache and the scorers.

Does not depend on Beam.
"""
