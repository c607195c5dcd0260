"""The times of a job's events, read from its input before it runs: what a release may serve, and what it comes too late
for."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import pyarrow.compute as pc

from models.errors import one_line
from pipeline.endpoints.errors import NoInput
from pipeline.endpoints.files.source import form_of, read_file
from pipeline.endpoints.matching import file_sizes
from pipeline.endpoints.sources import EventSource, Files, Topic
from pipeline.prepared import TypedJob
from schemas import batches
from schemas.formats.raw import RawBlock
from schemas.job import EventsSpec
from schemas.times import now_us
from transforms.decoding.decode_raw import decode_raw


class NoTimes(NoInput):
    """The times of a job's events cannot be read; the message says why."""


class EventTimes(NamedTuple):
    """The earliest and the latest event time (microseconds since 1970) in `looked_at` of a source's `files`; of a topic
    in what it holds, as if that were one file."""

    first_us: int
    last_us: int
    looked_at: int
    files: int


def event_times(opened: Callable[[], TypedJob], most_bytes: int | None = None) -> EventTimes | None:
    """The times of a job's events, decoded as the job decodes them: what would be a dead letter is not an event. None
    where the job reads neither files nor a topic up to its end.

    Args:
        opened: opens the job.
        most_bytes: files are looked at in the order of their names until they have more bytes, and no topics; None: all
            of them.

    Raises:
        SpecError: the spec is wrong.
        NoTimes: no event can be read.
    """
    try:
        typed = opened()
        source, spec = typed.source, typed.job.events
        inputs = list(_inputs(source, spec, most_bytes))
        times = [each for blocks in inputs for each in _times_of(blocks, spec)]
    except (NoInput, OSError) as error:
        raise NoTimes(one_line(error)) from None
    if not inputs and not isinstance(source, Files):
        return None
    if not times:
        raise NoTimes(f"no readable event in {source.describe()}; expected: at least one")
    number = len(source.paths) if isinstance(source, Files) else 1
    return EventTimes(min(first for first, _ in times), max(last for _, last in times), len(inputs), number)


def _inputs(source: EventSource, spec: EventsSpec, most_bytes: int | None) -> Iterator[Iterable[RawBlock]]:
    """What is read of each file, or of the topic; nothing of a source that may not be looked at or does not end."""
    if isinstance(source, Files):
        for path in _within(source, most_bytes):
            yield read_file(path, source.format, form_of(spec))
    elif isinstance(source, Topic) and source.bounded and most_bytes is None:
        yield source.held()


def _within(source: Files, most_bytes: int | None) -> Iterator[str]:
    sizes = file_sizes(source.uri) if most_bytes is not None else {}
    left = most_bytes or 0
    for path in source.paths:
        left -= sizes.get(path, 0)
        if most_bytes is not None and left < 0:
            return
        yield path


def _times_of(blocks: Iterable[RawBlock], spec: EventsSpec) -> Iterator[tuple[int, int]]:
    for block in blocks:
        events = decode_raw(block, spec, now_us()).events
        if events is not None and events.num_rows:
            found = pc.min_max(events.column(batches.EVENT_TIME))
            yield found["min"].value, found["max"].value
