"""Answers as quality needs them: of each an id, a time, segments, a score and a latency, and once for all rows of a
batch who gave them and what they mean.

A batch is of one version in one role; what is the same for all its rows is a text in the batch's schema, which Arrow
keeps through slices, selections and its stream format. So a row is about 60 bytes in memory and in state.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec
import pyarrow as pa

from models.bundles.manifest import Manifest, Output
from schemas import batches

DECIDED = "decided"
"""The label that the model decides on, of classes without a threshold."""
CLUSTER = "cluster"
"""The part of the window that the event's subject counts in (`transforms.quality.clusters`)."""
_SEGMENT = "segment:"
_KEY = b"halflife:scored_by"
_PROTECTED = "protected:"
_PAIR, _ERRORS, _FAIRNESS = "pair ", "errors ", "fairness "


class ScoredBy(msgspec.Struct, frozen=True):
    """Who gave answers, and what these mean: `kind`, `threshold` and `positive` as in the manifest, whose `quality` is
    what training measured; `decisions`: the texts of the positive and the negative decision."""

    version: str
    role: str
    digest: str
    kind: str
    threshold: float | None = None
    positive: str | None = None
    decisions: tuple[str, str] = ("positive", "not positive")
    quality: tuple[tuple[str, float], ...] = ()

    @property
    def decides(self) -> bool:
        """Whether scores become decisions by a threshold."""
        return self.threshold is not None

    @property
    def of_classes(self) -> bool:
        """Whether an answer is one of several classes, right or wrong, and not a number that can be near the truth."""
        return self.kind == "class" and not self.decides

    def text(self) -> str:
        """All of it as one text, by which it is a key."""
        return msgspec.json.encode(self).decode()


class PairedBy(msgspec.Struct, frozen=True):
    """Two versions that scored the same events: differences are those of `version`, in its role, minus those of
    `against`, in whatever role that scored them (here empty)."""

    version: ScoredBy
    against: ScoredBy

    @property
    def same_scale(self) -> bool:
        """Whether the two scores are numbers of one kind, of one class."""
        kinds = {(_is_number(by), by.positive) for by in (self.version, self.against)}
        return len(kinds) == 1 and not self.version.of_classes and not self.against.of_classes

    @property
    def same_loss(self) -> bool:
        """Whether the losses of the two are of one kind."""
        return len({(_is_number(by), by.of_classes) for by in (self.version, self.against)}) == 1

    @property
    def decide(self) -> bool:
        """Whether both turn scores into decisions on one class."""
        return self.same_scale and self.version.decides and self.against.decides

    def text(self) -> str:
        """All of it as one text, by which it is a key."""
        return _PAIR + msgspec.json.encode(self).decode()


class ErrorsBy(msgspec.Struct, frozen=True):
    """The errors of the answers of a version in a role, which detectors of changes read in order of time."""

    by: ScoredBy

    @property
    def are_shares(self) -> bool:
        """Whether an error is 0 or 1: of a decision or a class, right or wrong."""
        return self.by.of_classes or (self.by.decides and not _is_number(self.by))

    def text(self) -> str:
        """All of it as one text, by which it is a key."""
        return _ERRORS + self.by.text()

    @staticmethod
    def of(text: str) -> "ErrorsBy":
        """The inverse of `text`."""
        return ErrorsBy(msgspec.json.decode(text.removeprefix(_ERRORS), type=ScoredBy))


class FairnessBy(msgspec.Struct, frozen=True):
    """Whose answers are compared between groups of protected columns, and by which rules of `fairness`: how many groups
    of a column are told apart, the least n of a rate, whether smaller groups have no record, and the columns whose
    groups quality measures as its segments."""

    of: ScoredBy
    max_groups: int
    min_n: int
    withholds: bool = False
    segments: tuple[str, ...] = ()

    def text(self) -> str:
        """All of it as one text, by which it is a key."""
        return _FAIRNESS + msgspec.json.encode(self).decode()


def _is_number(by: ScoredBy) -> bool:
    return by.kind == "regression"


def paired_by(version: ScoredBy, against: ScoredBy) -> PairedBy:
    """The pair of two versions; what training measured is no matter of pairs."""
    return PairedBy(msgspec.structs.replace(version, quality=()), msgspec.structs.replace(against, role="", quality=()))


Whose: TypeAlias = ScoredBy | PairedBy | ErrorsBy | FairnessBy


def whose(text: str) -> Whose:
    """The inverse of `text` of all four."""
    if text.startswith(_FAIRNESS):
        return msgspec.json.decode(text.removeprefix(_FAIRNESS), type=FairnessBy)
    if text.startswith(_ERRORS):
        return ErrorsBy.of(text)
    if text.startswith(_PAIR):
        return msgspec.json.decode(text.removeprefix(_PAIR), type=PairedBy)
    return msgspec.json.decode(text, type=ScoredBy)


def scored_by(manifest: Manifest, role: str) -> ScoredBy:
    """What a manifest says of the answers of its version in a role."""
    output = manifest.output
    texts = tuple(sorted(_numbers(manifest.quality).items()))
    decisions = _decisions(output)
    return ScoredBy(
        manifest.version, role, manifest.digest, output.kind, output.threshold, output.positive, decisions, texts
    )


def _decisions(output: Output) -> tuple[str, str]:
    positive = output.positive or "positive"
    return (positive, f"not {positive}") if output.decisions is None else (
        output.decisions.positive, output.decisions.negative)  # fmt: skip


def _numbers(quality: Mapping[str, object]) -> dict[str, float]:
    """The metrics of a manifest; those of a segment under `metric|column=value`."""
    found = {name: value for name, value in quality.items() if name != "by_segment"}
    by_segment = quality.get("by_segment")
    for column, values in (by_segment if isinstance(by_segment, Mapping) else {}).items():
        for value, metrics in values.items():
            found |= {f"{name}|{column}={value}": number for name, number in metrics.items()}
    return {name: float(n) for name, n in found.items() if isinstance(n, int | float) and math.isfinite(n)}


def answers_of(
    scored: pa.RecordBatch,
    by: ScoredBy,
    segments: Sequence[str],
    decided: pa.Array | None = None,
    protected: Mapping[str, pa.Array] | None = None,
    clusters: pa.Array | None = None,
) -> pa.RecordBatch:
    """The rows of a batch of `ScoreEvents.scored`, all of one version and role, as answers. `protected`: the group of
    each row, by the name of the protected columns; null where one of their values is. `clusters`: the part of each
    row's subject."""
    names = [batches.EVENT_ID, batches.EVENT_TIME, batches.SCORE]
    columns = {name: scored.column(name) for name in names}
    known = batches.LATENCY in scored.schema.names
    columns[batches.LATENCY] = scored.column(batches.LATENCY) if known else pa.nulls(scored.num_rows, pa.int64())
    for segment in segments:
        columns[_SEGMENT + segment] = batches.as_texts(scored.column(column_of_event(segment, scored)))
    columns |= {_PROTECTED + name: groups for name, groups in (protected or {}).items()}
    if clusters is not None:
        columns[CLUSTER] = clusters
    if by.of_classes:
        columns[DECIDED] = pa.nulls(scored.num_rows, pa.string()) if decided is None else decided
    return stamped_with(pa.RecordBatch.from_pydict(columns), by)


def column_of_event(segment: str, rows: pa.RecordBatch) -> str:
    """The name of an event's own column: after the scoring step, `score` is the model's."""
    own = segment == batches.SCORE and batches.SCORE_OF_EVENT in rows.schema.names
    return batches.SCORE_OF_EVENT if own else segment


def stamped_with(rows: pa.RecordBatch, by: ScoredBy) -> pa.RecordBatch:
    """The rows as answers of a version and role."""
    return rows.replace_schema_metadata({_KEY: by.text()})


def is_answers(batch: pa.RecordBatch) -> bool:
    """Whether a batch is one of answers; others beside them are of labels."""
    return _KEY in (batch.schema.metadata or {})


def read_by(batch: pa.RecordBatch) -> ScoredBy:
    """Who gave the answers of a batch."""
    return msgspec.json.decode(batch.schema.metadata[_KEY], type=ScoredBy)


def segments_in(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    """The values of the segments of each row, as texts, by the segment's column."""
    return _named(batch, _SEGMENT)


def protected_in(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    """The group of each row, by the name of the protected columns."""
    return _named(batch, _PROTECTED)


def _named(batch: pa.RecordBatch, prefix: str) -> dict[str, pa.Array]:
    names = [name for name in batch.schema.names if name.startswith(prefix)]
    return {name.removeprefix(prefix): batch.column(name) for name in names}
