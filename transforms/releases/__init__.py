"""The timeline of releases in the graph: watched, spread to the workers, guarded."""
