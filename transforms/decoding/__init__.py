"""Raw blocks of input become batches of events in the job's columns."""
