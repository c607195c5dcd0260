"""`audit subject KEY`: all that is held on one person or thing, also as files for a request of access."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from audit.asking.answers import OneScore, answers, document
from audit.asking.letters import letters_about
from audit.asking.sources import AuditSources, UnknownToAudit
from audit.asking.tallies import VersionScores
from audit.asking.training.scores_given import given_document, scores_given
from audit.asking.training.trained_on import TrainingRecords, trained_on

_COLUMNS = (
    "score_id", "event_id", "event_time", "subject", "model", "version", "release", "role", "score", "decision", "late",
    "scored_at", "digest",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class SubjectPage(NamedTuple):
    """What is held on a subject: scores with their receipts, versions trained on it by model, dead letters (None:
    where they are is not known), and what is not known."""

    subject: str
    scores: tuple[OneScore, ...]
    training: Mapping[str, TrainingRecords]
    letters: tuple[dict[str, Any], ...] | None
    missing: tuple[str, ...]
    given: Mapping[str, Mapping[str, VersionScores]] | None = None

    @property
    def trained_versions(self) -> list[str]:
        """The names of the versions that were trained on the subject."""
        return [each.version for found in self.training.values() for each in found.versions]

    def document(self) -> dict[str, Any]:
        """As JSON (docs/design.md §9)."""
        return {
            "subject": self.subject,
            "scores": [each.shown.receipt["score_id"] for each in self.scores],
            "trained_versions": self.trained_versions,
            "dead_letters": None if self.letters is None else len(self.letters),
            "missing": list(self.missing),
            "given": None if self.given is None else {model: _documents(of) for model, of in self.given.items()},
        }


def _documents(given: Mapping[str, VersionScores]) -> dict[str, Any]:
    return {version: given_document(each) for version, each in given.items()}


def subject_page(
    sources: AuditSources, subject: str, models: Sequence[str], dead_letters: str | None, count_given: bool = False
) -> SubjectPage:
    """All that is held on a subject; that it is read is written to the access logs of the models first.

    Args:
        sources: what is asked.
        subject: the subject, as in receipts.
        models: the models whose training records are looked through beside those that scored it.
        dead_letters: the folder of the job's dead letters; None where it is not known.
        count_given: whether all receipts are read for what the versions trained on it answered to whatever.

    Raises:
        UnknownToAudit: nothing is held on it.
        StoreError: an access could not be written; nothing may be shown then.
    """
    found = answers(sources.audit.find("subject", subject))
    of = sorted({*models, *(each.shown.receipt["model"] for each in found)})
    names = sources.audit.stored_names("subject", subject)
    ids = {name for each in found for name in (each.shown.receipt["event_id"], each.shown.named("event_id")) if name}
    hashed = (name for each in ids for name in sources.audit.stored_names("event_id", each))
    named = {*names, *ids, *hashed}
    training = {model: trained_on(sources.store_of(model), named) for model in of if sources.knows(model)}
    letters = None
    if dead_letters is not None:
        letters = tuple(letters_about(dead_letters, subject, named, sources))
    if not found and not letters and not any(each.versions for each in training.values()):
        seen = sources.audit.looked_through
        advice = seen.advice("halflife audit event EVENT_ID")
        where = f"looked through {seen} in {sources.audit.url}"
        raise UnknownToAudit(f"nothing is held on subject {subject!r}: {where}; next: {advice}")
    allowed = sources.allowed(of, "subject", subject=sources.logged("subject", subject))
    found = [each for each in found if each.shown.receipt["model"] in allowed]
    sources.take_findings(found)
    given = {of: scores_given(sources, of, training[of]) for of in training} if count_given else None
    return SubjectPage(subject, tuple(found), training, letters, tuple(_lacks(found, training, letters)), given)


def _lacks(
    found: Sequence[OneScore], training: Mapping[str, TrainingRecords], letters: Sequence[object] | None
) -> Iterable[str]:
    locked = Counter(each.shown.locked for each in found if each.shown.locked)
    yield from (f"the features of {number} receipts: {why}" for why, number in locked.items())
    for model, known in training.items():
        for version, why in known.unknown.items():
            yield f"whether version {version!r} of {model!r} was trained on it: {why}"
    if letters is None:
        yield "whether dead letters name it: name the job, whose sinks.dead_letters keeps them, by --job"


def write_files(page: SubjectPage, folder: Path) -> list[Path]:
    """Writes the page into an empty folder as JSON and CSV; returns the files.

    A text in the CSV that a spreadsheet would run as a formula has an apostrophe before it; the JSON is exact.
    """
    folder.mkdir(parents=True, exist_ok=True)
    receipts = [document(each.shown) for each in page.scores]
    trained = {model: [each.document() for each in found.versions] for model, found in page.training.items()}
    contents = {
        "summary.json": _json({**page.document(), "trained": trained}),
        "receipts.json": _json(receipts),
        "scores.csv": _csv(receipts),
        "dead_letters.json": _json(list(page.letters or ())),
    }
    for name, text in contents.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in contents]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def _csv(receipts: Sequence[Mapping[str, Any]]) -> str:
    features = sorted({name for one in receipts for name in one["features"]})
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow([*_COLUMNS, *(_cell(f"feature {name}") for name in features), "reasons"])
    for one in receipts:
        reasons = "; ".join(f"{each['feature']} {each['contribution']}" for each in one["reasons"])
        values = [*(one[name] for name in _COLUMNS), *(one["features"].get(name) for name in features)]
        writer.writerow([*map(_cell, values), reasons])
    return stream.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return json.dumps(value) if isinstance(value, list | dict) else value
