"""`audit record ID`: the versions that were trained on a record, and the scores that they gave it."""

from typing import Any, NamedTuple

from audit.asking.answers import OneScore, answers
from audit.asking.sources import AuditSources, UnknownToAudit
from audit.asking.trained_on import TrainingRecords, trained_on


class RecordPage(NamedTuple):
    """A record, the versions trained on it, the scores of it that they gave, and those that other versions gave."""

    model: str
    record: str
    training: TrainingRecords
    scores: tuple[OneScore, ...]
    others: tuple[OneScore, ...]

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "model": self.model,
            "record": self.record,
            "trained_versions": [each.version for each in self.training.versions],
            "trained": [each.document() for each in self.training.versions],
            "scores": [each.shown.receipt["score_id"] for each in self.scores],
            "other_scores": [each.shown.receipt["score_id"] for each in self.others],
            "unknown": dict(self.training.unknown),
        }


def record_page(sources: AuditSources, model: str, record: str) -> RecordPage:
    """What was trained on a record of that id; that it is read is written to the access log first.

    Raises:
        UnknownToAudit: nothing was trained on it, and it has no scores.
        StoreError: the access could not be written; nothing may be shown then.
    """
    training = trained_on(sources.store_of(model), {record})
    found = [each for each in answers(sources.audit.find("event_id", record)) if each.shown.receipt["model"] == model]
    if not training.versions and not found:
        seen = f"looked through {sources.audit.looked_through} in {sources.audit.url}"
        told = f"and the training records of {model!r} in {sources.store_url} ({len(training.unknown)} without any)"
        raise UnknownToAudit(f"record {record!r} is not known: {seen}, {told}; next: halflife models publish --records")
    sources.record_access(model, "record", event_id=record)
    sources.take_findings(found)
    digests = {each.digest for each in training.versions}
    own = tuple(each for each in found if each.shown.receipt["digest"] in digests)
    return RecordPage(model, record, training, own, tuple(each for each in found if each not in own))
