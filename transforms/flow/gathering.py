"""Merges small batches of one bundle: the steps after it cost as much for ten rows as for a thousand."""

from abc import abstractmethod
from collections.abc import Iterator
from itertools import starmap
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindows, TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from schemas import batches

# This many rows are enough: they are emitted before their bundle ends.
WHOLE_ROWS = 4096


class GatheringFn(beam.DoFn):
    """Gathers the batches of a bundle, in the global window, up to `WHOLE_ROWS` rows or 64 MiB; subclasses say what a
    gathered batch becomes. The timestamp of that is the earliest event time in it."""

    def start_bundle(self) -> None:
        self._gathered: list[pa.RecordBatch] = []
        self._rows, self._bytes = 0, 0

    def process(self, batch: pa.RecordBatch) -> Iterator[TimestampedValue[Any]]:
        if self._gathered and batch.schema != self._gathered[0].schema:
            yield from starmap(TimestampedValue, self._elements())
        self._gathered.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= WHOLE_ROWS or self._bytes >= batches.WHOLE_BYTES:
            yield from starmap(TimestampedValue, self._elements())

    def finish_bundle(self) -> Iterator[WindowedValue]:
        return starmap(GlobalWindows.windowed_value, self._elements())

    def _elements(self) -> Iterator[tuple[Any, Timestamp]]:
        """The elements made of the rows gathered so far, each with its timestamp."""
        if not self._rows:
            return
        whole = batches.concat_batches(self._gathered)
        self._gathered, self._rows, self._bytes = [], 0, 0
        at = Timestamp(micros=int(batches.times_us(whole).min()))
        for element in self.of_whole(whole):
            yield element, at

    @abstractmethod
    def of_whole(self, batch: pa.RecordBatch) -> Iterator[Any]:
        """The elements that a batch of at least one row becomes."""
