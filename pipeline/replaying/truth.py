"""The truth beside what versions answered: labels read in this process, joined to scores, and metrics by window."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.bundles.manifest import Output
from pipeline.endpoints.labels.label_source import LabelSource
from pipeline.replaying.comparison import span_of, windows_of
from schemas.columns import ARROW_TYPES
from schemas.job import DriftSpec, EventsSpec
from schemas.times import now_us
from transforms.labels.join_labels import decode_labels
from transforms.labels.label_join import JoinedLabels, join_labels, labels_table
from transforms.labels.quality import (
    Quality,
    no_quality,
    quality_of_decisions,
    quality_of_numbers,
    quality_of_probabilities,
)

_METRICS = {"probability": ("auc", "log_loss", "brier", "accuracy"), "regression": ("mae", "rmse"),
            "class": ("accuracy",)}  # fmt: skip


class KnownLabels(NamedTuple):
    """All labels of a job, in memory, how many records are unreadable or without a time, and the horizon."""

    table: pa.Table
    unreadable: int
    pending: int
    horizon_us: int | None

    def of(self, scores: pa.Table) -> JoinedLabels:
        """The label of each score's event, point in time."""
        return join_labels(scores["event_id"], scores["event_time"], self.table, self.horizon_us)


def read_labels(source: LabelSource) -> KnownLabels:
    """All labels of the source (about 60 bytes each in memory). Raises `OSError`, and of a topic `TopicUnreadable`."""
    spec = source.spec
    decoded = [decode_labels(block, spec, now_us()) for block in (() if source.empty else source.blocks())]
    found = [each.labels for each in decoded if each.labels is not None]
    unreadable, pending = sum(len(each.letters) for each in decoded), sum(each.pending for each in decoded)
    kind = pa.bool_() if spec.positive else ARROW_TYPES[spec.column[1]]
    return KnownLabels(labels_table(found, kind), unreadable, pending, spec.horizon_us)


def with_ids(scores: pa.Table, labels: KnownLabels, events: EventsSpec) -> pa.Table:
    """The scores with the ids that their labels have, where they are hidden; those without one stay hashed.

    Raises `StoreError` where the key store cannot be read.
    """
    if not events.hides_ids or events.privacy is None:
        return scores
    from models.privacy.identities import identity_of_event  # few jobs have keys, and it takes a while to import
    from models.privacy.key_store import KeyStore
    from models.store.backends import Backend

    known = labels.table["event_id"].unique().cast(pa.string())
    identities = [identity_of_event(each) for each in known.to_pylist()]
    epochs = KeyStore(Backend(events.privacy.keys)).epochs().all
    hashed = pa.array([str(each) for epoch in epochs for each in epoch.pseudonyms(identities)], pa.string())
    found = pc.index_in(scores["event_id"], value_set=hashed).to_pandas().to_numpy()
    rows = pa.array(np.where(np.isnan(found), 0, found) % max(len(known), 1), pa.int64(), mask=np.isnan(found))
    plain = pc.coalesce(known.take(rows), scores["event_id"].combine_chunks())
    return scores.set_column(scores.schema.get_field_index("event_id"), "event_id", plain)


def measured(scores: pa.Table, labels: KnownLabels, output: Output, spec: DriftSpec) -> dict[str, Any]:
    """Metrics of one version, overall and by window of event time, with the events that they are of.

    Args:
        scores: `event_id`, `event_time`, `score`, `decision` of the version.
        output: what its scores mean.
        spec: `window_us` is the width of a window.
    """
    joined = labels.of(scores)
    beside = scores.append_column("label", joined.values)
    windows = [{**span_of(start, spec), **_measured(rows, output)} for start, rows in windows_of(beside, spec)]
    return {"kind": output.kind, "overall": _measured(beside, output), "outcomes": joined.counts(), "windows": windows}


def _measured(rows: pa.Table, output: Output) -> dict[str, Any]:
    labelled = rows.filter(rows["label"].is_valid())
    found = _quality(labelled, output)
    return {"n": labelled.num_rows, "unlabelled": rows.num_rows - labelled.num_rows, **found.values, "why": found.why}


def _quality(rows: pa.Table, output: Output) -> Quality:
    scores, labels = rows["score"].to_numpy(), rows["label"]
    if output.kind == "regression":
        if not _is_number(labels.type):
            return no_quality("the labels are no numbers", *_METRICS["regression"])
        return quality_of_numbers(scores, labels.cast(pa.float64()).to_numpy())
    if output.kind == "class" and output.threshold is None:
        return _of_classes(rows)
    truths = truths_of(labels, output.positive)
    if truths is None:
        why = "the labels are not true and false; next: state labels.positive"
        return no_quality(why, *_METRICS["probability"])
    return quality_of_probabilities(scores, truths, output.threshold)


def truths_of(labels: pa.ChunkedArray, positive: str | None) -> Any:
    """Which labels are of the positive class; None where that cannot be told.

    True and 1 are positive; of texts the manifest's positive class is.
    """
    if pa.types.is_boolean(labels.type):
        return labels.to_numpy()
    if pa.types.is_string(labels.type):
        return pc.equal(labels, positive).to_numpy() if positive is not None else None
    numbers = labels.cast(pa.float64()).to_numpy()
    return numbers == 1 if np.isin(numbers, (0, 1)).all() else None


def _of_classes(rows: pa.Table) -> Quality:
    """By the label that the model decides on, else by the number of the class."""
    if pa.types.is_string(rows["label"].type):
        decided = pc.fill_null(pc.equal(rows["decision"], rows["label"]), False)
        return quality_of_decisions(decided.to_numpy())
    right = rows["score"].to_numpy() == rows["label"].cast(pa.float64()).to_numpy()
    return quality_of_decisions(right)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def label_counts(labels: KnownLabels, scores: Mapping[str, pa.Table]) -> dict[str, int]:
    """What the labels are, beside the events that any version scored."""
    ids = pa.chunked_array([chunk for rows in scores.values() for chunk in rows["event_id"].chunks], pa.string())
    of_others = pc.invert(pc.is_in(labels.table["event_id"], value_set=ids.unique()))
    without = int(pc.sum(of_others).as_py() or 0)
    read = labels.table.num_rows + labels.unreadable + labels.pending
    return {"read": read, "pending": labels.pending, "unreadable": labels.unreadable, "without_score": without}
