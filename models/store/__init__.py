"""The object store of a model: bundles, the log of releases, the access log."""
