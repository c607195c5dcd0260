"""A source of events that a plug-in adds (docs/python.md#sources)."""

from collections.abc import Collection, Iterator
from typing import Any

import apache_beam as beam

from models.errors import one_line
from models.plug_ins import SOURCES, plug_in
from pipeline.endpoints.errors import NoInput
from pipeline.endpoints.uris import scheme_of
from schemas.formats.raw import RawBlock
from schemas.job import EventsSpec
from schemas.validation import SpecError
from transforms.decoding.elements import GatherElements, block_of

FORMAT = "arrow"  # what is added comes in columns


class AddedSource:
    """A source of events by the scheme of its URI; its records are dicts, named tuples or Arrow batches."""

    only_on: str | None = None

    def __init__(self, uri: str, made: Any) -> None:
        self._uri, self._made = uri, made
        self.bounded = bool(made.bounded)

    def describe(self) -> str:
        return str(self._made.describe())

    def sample(self, names: Collection[str] = ()) -> Iterator[RawBlock]:
        for rows in self._made.sample():
            yield block_of(rows, self._uri)

    def read(self, spec: EventsSpec) -> beam.PTransform[Any, Any]:
        return _ReadAdded(self._made.read(), spec, self._uri)


class _ReadAdded(beam.PTransform[Any, beam.PCollection[RawBlock]]):
    def __init__(self, read: beam.PTransform[Any, Any], spec: EventsSpec, uri: str) -> None:
        super().__init__()
        self._read, self._spec, self._uri = read, spec, uri

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[RawBlock]:
        elements = begin | "Read" >> self._read
        blocks: beam.PCollection[RawBlock] = elements | "GatherElements" >> GatherElements(self._spec, self._uri)
        return blocks


def open_added(events: dict[str, Any]) -> AddedSource | None:
    """The source of a plug-in for the scheme of `events.uri`; None where none is installed.

    Raises:
        SpecError: the plug-in is broken, or does not allow this URI.
        NoInput: it cannot open it.
    """
    uri = events["uri"]
    opener = plug_in(SOURCES, scheme_of(uri), "events.uri")
    if opener is None:
        return None
    if events.setdefault("format", FORMAT) != FORMAT:
        raise SpecError("events.format", events["format"], "none: a plug-in's records come in columns")
    try:
        return AddedSource(uri, opener(uri))
    except ValueError as error:
        raise SpecError("events.uri", uri, one_line(error)) from None
    except Exception as error:  # whatever the code of the plug-in raises
        raise NoInput(f"{uri} cannot be opened: {one_line(error)}") from None
