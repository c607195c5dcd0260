"""The labels of a job spec: the files or the topic that they are in, and how these are read."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.endpoints.epochs import check_time_unit
from pipeline.endpoints.errors import NoInput
from pipeline.endpoints.files.other_formats import fill_in
from pipeline.endpoints.files.source import form_of, read_file
from pipeline.endpoints.matching import NoRecords, matching_files
from pipeline.endpoints.sample import sampled_types
from pipeline.endpoints.sources import Files, Topic, open_source
from pipeline.endpoints.uris import FILE_SCHEMES, scheme_of
from pipeline.reporting.printer import note
from pipeline.spec.job import events_spec
from pipeline.spec.sections.concept_drift import concept_drift_of
from schemas.batches import ROW_HASH
from schemas.columns import ARROW_TYPES, VALUES
from schemas.formats.raw import RawBlock
from schemas.job import LabelsSpec
from schemas.problems import SpecErrors
from schemas.times import parse_duration_us
from schemas.validation import MISSING, SpecError
from transforms.labels.truth import UnfitComparison, truth_of

if TYPE_CHECKING:
    import apache_beam as beam

# What the records of events are like, which labels in the same files share.
_FORM = ("format", "csv", "envelope", "time_format", "time_unit", "time_zone", "time_ambiguous")
_LEAST_SILENCE_US = 3_600_000_000  # of a short horizon: a silence of minutes is none
_OF_LABELS = ("uri", *_FORM, "event_id", "event_time")
# Keys of the spec in messages; a file may be called events.csv.
_OF_EVENTS = re.compile(r"(?<![\w/.])events\.(uri|format|csv|event_id|event_time|time_\w+|columns?)\b")


@dataclass(frozen=True, slots=True)
class LabelSource:
    """Labels that exist: how they are read and joined, and their source, in which there may be nothing to read."""

    spec: LabelsSpec
    source: Files | Topic
    empty: bool = False

    def read(self) -> "beam.PTransform[Any, Any]":
        """A step of a graph that reads them."""
        if isinstance(self.source, Topic):
            return self.source.read(self.spec.records, self.spec.silent_after_us)
        return self.source.read(self.spec.records)

    def blocks(self) -> Iterator[RawBlock]:
        """All of them, read in this process; of a topic what it holds now. Raises `OSError`, `TopicUnreadable`."""
        if isinstance(self.source, Topic):
            yield from self.source.held()
            return
        for path in self.source.paths:
            yield from read_file(path, self.source.format, form_of(self.spec.records))


def open_labels(document: Mapping[str, Any], asked_by: str, *, endless: bool = False) -> LabelSource:
    """The labels of a resolved spec whose events are opened.

    Args:
        asked_by: the option that needs them.
        endless: whether a topic may be read without end.

    Raises:
        SpecError: there is no section `labels`, or it has a value that is not allowed.
        NoInput, OSError: there is nothing to read, or it cannot be read.
    """
    stated = document.get("labels")
    if not stated:
        raise SpecError("labels", MISSING, f"a section that says where the truth about events is, for {asked_by}")
    with _of_labels():
        return _opened(document["events"], stated, endless)


def _opened(events: Mapping[str, Any], stated: Mapping[str, Any], endless: bool) -> LabelSource:
    shared = ("time_range", *(_FORM if stated["uri"] == events["uri"] else ()))
    records = {name: events[name] for name in shared if name in events}
    records |= {name: stated[name] for name in _OF_LABELS if name in stated}
    source = _files(records) if scheme_of(records["uri"]) in FILE_SCHEMES else _topic(records, endless)
    kind, empty = _kind(source, records, stated["column"])
    if kind not in VALUES:
        raise SpecError("labels.column", f"{stated['column']} of type {kind}", "a column of numbers, booleans or texts")
    with _fitting(stated):
        truth_of(pa.nulls(0, ARROW_TYPES[kind]), kind, stated.get("positive"))
    spec = events_spec(records, {stated["column"]: kind})
    horizon_us, silent_after_us = (_duration_us(stated, name) for name in ("horizon", "silent_after"))
    if silent_after_us is None:
        silent_after_us = max(horizon_us or 0, _LEAST_SILENCE_US)
    labels = LabelsSpec(spec, stated.get("positive"), horizon_us, concept_drift_of(stated), silent_after_us)
    return LabelSource(labels, source, empty)


def _duration_us(stated: Mapping[str, Any], name: str) -> int | None:
    return parse_duration_us(stated[name]) if name in stated else None


def _files(records: dict[str, Any]) -> Files:
    paths = tuple(matching_files(records["uri"]))
    known = "format" in records and (records["format"] != "csv" or "csv" in records)
    form = fill_in(records, paths, _say if not known else _nothing)
    return Files(records["uri"], records["format"], paths, form, envelope=records.get("envelope"))


def _topic(records: dict[str, Any], endless: bool) -> Topic:
    source = open_source(records)
    if not isinstance(source, Topic) or not (source.bounded or endless):
        allowed = "files, or a topic" if endless else "files, or a topic with until=latest"
        raise SpecError("events.uri", records["uri"].partition("?")[0], allowed)
    return source


def _kind(source: Files | Topic, records: Mapping[str, Any], column: str) -> tuple[str, bool]:
    """The type of the column, and whether there is no record at all."""
    identity = {records[name]: f"events.{name}" for name in ("event_id", "event_time") if records[name] != ROW_HASH}
    try:
        types = sampled_types(source.sample([*identity, column]), source.format, {column: "events.column"}, identity)
    except NoRecords:
        return "number", True
    check_time_unit(source.sample([records["event_time"]]), records)
    return types[column], False


@contextmanager
def _fitting(stated: Mapping[str, Any]) -> Iterator[None]:
    try:
        yield
    except UnfitComparison as error:
        raise SpecError("labels.positive", stated.get("positive"), error.allowed) from None


@contextmanager
def _of_labels() -> Iterator[None]:
    """Errors of reading name the section of the events, which labels are read as."""
    try:
        yield
    except SpecErrors as several:
        raise SpecErrors(tuple(map(_error_of_labels, several.errors))) from None
    except SpecError as error:
        raise _error_of_labels(error) from None
    except NoInput as error:
        said = _renamed(str(error))
        raise type(error)(said if said.startswith("labels.") else f"labels.uri: {said}") from None


def _error_of_labels(error: SpecError) -> SpecError:
    return SpecError(_renamed(error.path), error.value, _renamed(error.allowed))


def _renamed(text: str) -> str:
    return _OF_EVENTS.sub(r"labels.\1", text)


def _say(text: str) -> None:
    note(_renamed(text))


def _nothing(text: str) -> None:
    """The events' files are these, and were spoken of."""
