"""What the versions that were trained on something answered, to whatever."""

from typing import Any

from audit.asking.moments import time_text
from audit.asking.sources import AuditSources
from audit.asking.tallies import VersionScores, scores_of
from audit.asking.training.trained_on import TrainingRecords


def scores_given(sources: AuditSources, model: str, training: TrainingRecords) -> dict[str, VersionScores]:
    """The scores of each version of a model that was trained on something, by its name.

    Raises:
        BrokenChain, StoreUnavailable: as `scores_of`.
    """
    return {each.version: scores_of(sources.audit, model, each.version) for each in training.versions}


def given_document(given: VersionScores) -> dict[str, Any]:
    """As JSON."""
    first, last = (None if us is None else time_text(us) for us in (given.first_us, given.last_us))
    return {"scores": dict(given.counts), "first_event": first, "last_event": last}
