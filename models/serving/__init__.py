"""The models of a job in one process: loaded, chosen, counted, freed."""
