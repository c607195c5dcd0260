"""`audit record ID`: the versions that were trained on a record, and the scores that they gave it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from audit.asking.answers import OneScore, answers
from audit.asking.sources import AuditSources, UnknownToAudit
from audit.asking.tallies import VersionScores
from audit.asking.training.scores_given import given_document, scores_given
from audit.asking.training.trained_on import TrainingRecords, trained_on


class RecordPage(NamedTuple):
    """A record, the versions trained on it, the scores of it that they gave, and those that other versions gave.

    `given`: what the versions trained on it answered to whatever, by their names; None where that was not counted.
    """

    model: str
    record: str
    training: TrainingRecords
    scores: tuple[OneScore, ...]
    others: tuple[OneScore, ...]
    given: Mapping[str, VersionScores] | None = None

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
            "given": None if self.given is None else {name: given_document(each) for name, each in self.given.items()},
        }


def record_page(sources: AuditSources, model: str, record: str, count_given: bool = False) -> RecordPage:
    """What was trained on a record of that id; that it is read is written to the access log first.

    `count_given`: all receipts are read for what the versions trained on it answered to whatever.

    Raises:
        UnknownToAudit: nothing was trained on it, and it has no scores.
        StoreError: the access could not be written; nothing may be shown then.
    """
    training = trained_on(sources.store_of(model), set(sources.audit.stored_names("event_id", record)))
    found = [each for each in answers(sources.audit.find("event_id", record)) if each.shown.receipt["model"] == model]
    if not training.versions and not found:
        seen = f"looked through {sources.audit.looked_through} in {sources.audit.url}"
        told = f"and the training records of {model!r} in {sources.store_url} ({len(training.unknown)} without any)"
        raise UnknownToAudit(f"record {record!r} is not known: {seen}, {told}; next: halflife models publish --records")
    sources.record_access(model, "record", event_id=sources.logged("event_id", record))
    sources.take_findings(found)
    digests = {each.digest for each in training.versions}
    own = tuple(each for each in found if each.shown.receipt["digest"] in digests)
    others = tuple(each for each in found if each not in own)
    given = scores_given(sources, model, training) if count_given else None
    return RecordPage(model, record, training, own, others, given)
