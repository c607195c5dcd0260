"""SpreadReleases: merges the timeline with the events of an unbounded job, as elements of the same keyed stream.

It is not a side input: Flink's portable runner cannot put one into a checkpoint (docs/decisions/timeline-in-state.md).
"""

import zlib
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from models.releases.release import AdmittedRelease
from schemas import batches
from transforms.flow.coders import ArrowBatchCoder
from transforms.flow.gathering import GatheringFn
from transforms.flow.state import VersionedStateCoder
from transforms.releases.release_forms import RELEASES_VERSION, AdmittedForm

# How many workers can score at once: each key of the stream holds the timeline and is processed by one worker at a
# time.
SHARDS = 32
ADMITTED = VersionedStateCoder("releases", RELEASES_VERSION, AdmittedForm())
_CODER = ArrowBatchCoder()

# (shard, an encoded batch of events or the encoded releases of one poll)
EventsOrReleases = tuple[int, Any]


class _KeyEventsFn(GatheringFn):
    def of_whole(self, batch: pa.RecordBatch) -> Iterator[EventsOrReleases]:
        # Any key will do: all have the same timeline.
        yield zlib.crc32(batch.column(batches.EVENT_ID)[0].as_py().encode()) % SHARDS, _CODER.encode(batch)


class _SpreadFn(beam.DoFn):
    """All releases of a bundle, which is one poll, go to every shard as one element: no shard sees half of a
    timeline."""

    def start_bundle(self) -> None:
        self._releases: list[bytes] = []
        self._at: Timestamp | None = None

    def process(self, release: AdmittedRelease, at: Timestamp = beam.DoFn.TimestampParam) -> None:  # type: ignore[assignment]  # Beam's way to ask for it
        self._releases.append(ADMITTED.encode(release))
        self._at = at if self._at is None else min(at, self._at)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._at is not None:
            for shard in range(SHARDS):
                yield GlobalWindows.windowed_value((shard, tuple(self._releases)), self._at)


class SpreadReleases(beam.PTransform[beam.PCollection[pa.RecordBatch], beam.PCollection[EventsOrReleases]]):
    """Events and the releases of the timeline in one stream, keyed by shard; every shard gets every release.

    Input: batches of events in the global window. Output: (shard, encoded batch) and (shard, releases of one poll, each
    encoded). No state.
    """

    def __init__(self, releases: beam.PCollection[AdmittedRelease]) -> None:
        super().__init__()
        self._releases = releases

    def expand(self, events: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[EventsOrReleases]:
        key = beam.ParDo(_KeyEventsFn())  # type: ignore[no-untyped-call]  # Beam's DoFn has no types
        spread = beam.ParDo(_SpreadFn())  # type: ignore[no-untyped-call]  # likewise
        keyed = events | "KeyEvents" >> key.with_output_types(EventsOrReleases)
        plain = self._releases | "Plain" >> beam.WindowInto(GlobalWindows())
        told = plain | "Spread" >> spread.with_output_types(EventsOrReleases)
        together: beam.PCollection[EventsOrReleases] = (keyed, told) | "Together" >> beam.Flatten()
        return together


def decoded(encoded: bytes) -> pa.RecordBatch:
    """The batch of events of an element."""
    return _CODER.decode(encoded)
