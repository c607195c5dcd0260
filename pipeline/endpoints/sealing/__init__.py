"""Sealing in the job: of a stream while it runs, of bounded input at the end of the run."""
