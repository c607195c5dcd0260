"""The labels of a job: whether they can be read and are labels, and whether they are of the events, in time."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.errors import one_line
from pipeline.endpoints.errors import NoInput
from pipeline.endpoints.labels.label_source import LabelSource, open_labels
from pipeline.endpoints.sources import EventSource, Messages
from pipeline.preflight.advice import refused
from pipeline.preflight.decoding import described, sampled_blocks
from pipeline.preflight.probes import check_source
from runners.findings import Finding, fail, ok, unchecked, warn
from schemas import batches
from schemas.job import EventsSpec, LabelsSpec
from schemas.times import format_duration_us, now_us
from schemas.validation import SpecError
from transforms.decoding.decode_raw import decode_raw
from transforms.decoding.deriving import chosen
from transforms.labels.join_labels import decode_labels
from transforms.labels.label_join import LABEL, LABEL_OF, LABEL_TIME

_ENOUGH = 1_000
_FITTING = "labels.format, column, event_id, event_time or time_unit that fit the labels"


class _Sample(NamedTuple):
    """The labels among some first records, how many of these have no time yet, and what others are."""

    labels: pa.Table
    pending: int
    errors: list[tuple[str, str]]

    @property
    def read(self) -> int:
        return int(self.labels.num_rows) + self.pending + len(self.errors)


def check_labels(document: Mapping[str, Any], events: EventSource, spec: EventsSpec | None) -> Iterator[Finding]:
    """Findings about the labels of a resolved spec whose events are opened. `spec`: how the events are read, None where
    that is not known.

    Raises:
        OSError: a file cannot be read.
    """
    stated, endless = document["labels"], not events.bounded
    lacking = endless and "quality" in document.get("sinks", {}) and "horizon" not in stated
    if lacking:
        found = "missing: a stream holds each answer so long for its label"
        yield fail("labels.horizon", found, "a horizon, such as 30d")
    try:
        source = open_labels(document, "doctor", endless=endless)
    except SpecError as error:
        yield refused(error.path, one_line(error), stated["uri"])
        return
    except NoInput as error:
        yield warn("labels.uri", f"{error}", "a run scores without measuring quality until a label is there")
        return
    yield from check_source(source.source, stated["uri"], "labels.uri")
    if source.empty:
        return
    sample = _sample(source, "privacy" in document)
    yield _decoded(sample)
    if sample.labels.num_rows:
        of_events = _of_events(sample.labels, source.spec, events, spec)
        yield from (each for each in of_events if not (lacking and each.check == "labels.horizon"))


def _sample(source: LabelSource, hidden: bool) -> _Sample:
    batches_found, pending, errors = list[pa.RecordBatch](), 0, list[tuple[str, str]]()
    read = 0
    for block, needed in sampled_blocks(source.source, source.spec.records):
        if not needed and read >= _ENOUGH:
            break
        decoded = decode_labels(block, source.spec, now_us())
        batches_found += [] if decoded.labels is None else [decoded.labels]
        pending += decoded.pending
        errors += [(letter.error, described(letter, block, hidden)) for letter in decoded.letters]
        read += (0 if decoded.labels is None else decoded.labels.num_rows) + decoded.pending + len(decoded.letters)
    labels = (
        pa.Table.from_batches(batches_found) if batches_found else pa.table({LABEL_OF: [], LABEL: [], LABEL_TIME: []})
    )
    return _Sample(labels, pending, errors)


def _decoded(found: _Sample) -> Finding:
    """What the records of the sample are."""
    check, values = "labels", found.labels[LABEL]
    of_kind = [f"{found.labels.num_rows - values.null_count:,} labels"]
    if pa.types.is_boolean(values.type):
        trues = pc.sum(values).as_py() or 0
        of_kind = [f"{trues:,} true and {len(values) - values.null_count - trues:,} false labels"]
    of_kind += [f"{values.null_count:,} without a value"] if values.null_count else []
    of_kind += [f"{found.pending:,} whose time is not known yet"] if found.pending else []
    said = f"{found.read:,} records of a sample: {', '.join(of_kind)}"
    if found.errors:
        first = dict(reversed(found.errors))
        counts = {name: sum(error == name for error, _ in found.errors) for name in first}
        said += "".join(f"; {number:,} {name}, such as {first[name]}" for name, number in counts.items())
        if not found.labels.num_rows:
            return fail(check, said, _FITTING)
        return warn(check, said, "what cannot be read becomes dead letters of stage labels")
    one_class = pa.types.is_boolean(values.type) and len(pc.unique(values.drop_null())) == 1
    if values.null_count == found.labels.num_rows:
        return warn(check, said, "a labels.column with values")
    if one_class:
        return warn(check, said, "labels.positive, by which some are true and some false: of one class there is no AUC")
    return ok(check, said)


def _of_events(labels: pa.Table, own: LabelsSpec, source: EventSource, spec: EventsSpec | None) -> Iterator[Finding]:
    """Whether labels are of the events, and come within the horizon."""
    check = "labels of events"
    events = None if spec is None or isinstance(source, Messages) else _some_events(source, spec)
    if events is None or not events.num_rows:
        yield unchecked(check, "no event of a sample is there to have a label")
        return
    at = pc.index_in(labels[LABEL_OF], value_set=events[batches.EVENT_ID])
    having = labels.append_column("at", at).filter(at.is_valid())
    said = (
        f"{having.num_rows:,} of {labels.num_rows:,} labels of a sample are of {events.num_rows:,} events of a sample"
    )
    if not having.num_rows:
        change = (
            "labels.event_id: the column with what events have in events.event_id; else both samples are of other days"
        )
        yield warn(check, said, change)
        return
    yield ok(check, said)
    happened = events[batches.EVENT_TIME].take(having["at"])
    after = _us(having[LABEL_TIME]) - _us(happened)
    yield _in_time(after, own.horizon_us)


def _us(times: pa.ChunkedArray) -> Any:
    return times.combine_chunks().cast(pa.int64()).to_numpy(zero_copy_only=False)


def _in_time(after_us: Any, horizon_us: int | None) -> Finding:
    """How long after their events labels were known. `after_us`: at least one."""
    check = "labels.horizon"
    before = int(np.count_nonzero(after_us < 0))
    beyond = 0 if horizon_us is None else int(np.count_nonzero(after_us > horizon_us))
    usual = format_duration_us(int(np.median(np.abs(after_us))) // 1_000_000 * 1_000_000)
    horizon = "no horizon" if horizon_us is None else f"a horizon of {format_duration_us(horizon_us)}"
    said = f"{horizon}; {len(after_us):,} labels were known {usual} from their events (median)"
    said += f", {before:,} of them before" if before else ""
    said += f", {beyond:,} beyond it" if beyond else ""
    if 2 * (before + beyond) <= len(after_us):
        return ok(check, said)
    if before > beyond:
        return warn(
            check, said, "labels.event_time: the time at which the truth was known; before its event it is no label"
        )
    latest = format_duration_us(int(np.quantile(after_us, 0.99)) // 1_000_000 * 1_000_000)
    return warn(
        check, said, f"a longer labels.horizon: 99 of 100 were known by {latest}; what is beyond counts for nothing"
    )


def _some_events(source: EventSource, spec: EventsSpec) -> pa.Table:
    names = [batches.EVENT_ID, batches.EVENT_TIME]
    found, rows = list[pa.RecordBatch](), 0
    for block, needed in islice(sampled_blocks(source, spec), 100):
        if not needed and rows >= _ENOUGH:
            break
        events = decode_raw(block, spec, now_us()).events
        if events is not None:
            events = events if spec.where is None else chosen(events, spec.where)
            found.append(events.select(names))
            rows += events.num_rows
    return pa.Table.from_batches(found) if found else pa.table({name: [] for name in names})
