"""The refusal of a replay."""

from pipeline.reporting.outcomes import RunFailed


class CandidateRefused(RunFailed):
    """A version that may not serve is not replayed either; the message has its reason."""
