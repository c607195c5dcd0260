"""What a plug-in implements: a class that an installed distribution names as an entry point. Its attribute `interface`
is the version of these protocols that it was made for.

| group                 | name of the entry point    | the class                                                       |
| --------------------- | -------------------------- | --------------------------------------------------------------- |
| `halflife.sources`    | the scheme of `events.uri` | called with the URI, it gives a `SourcePlugIn`                  |
| `halflife.sinks`      | the scheme of a sink's URI | called with URI and name of the record, it gives a `SinkPlugIn` |
| `halflife.aggregates` | `aggregate` of a feature   | an `AggregatePlugIn` itself                                     |
| `halflife.scorers`    | the kind of model          | a subclass of `Scorer` (docs/scorers.md)                        |
"""

from collections.abc import Iterable
from typing import Any, Literal, Protocol

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.plug_ins import INTERFACE

__all__ = ["INTERFACE", "AggregatePlugIn", "SinkPlugIn", "SourcePlugIn"]


class AggregatePlugIn(Protocol):
    """An aggregate of the values of a window. `gives`: the type of the feature; `of_texts`: whether columns of texts
    have one too."""

    gives: Literal["number", "integer"]
    of_texts: bool

    @staticmethod
    def answer(values: npt.NDArray[Any], counts: npt.NDArray[np.int64]) -> float | int | None:
        """The answer for the different values of a window, in order (float64, or texts), shape (n,), n > 0, and how
        often each occurs, shape (n,); None and NaN are null. It is a pure function, and may be called again."""


class SourcePlugIn(Protocol):
    """Events from elsewhere, by a URI. `ValueError` of any method says what the URI allows; other errors that it cannot
    be read. `bounded`: whether it ends."""

    bounded: bool

    def describe(self) -> str:
        """What is read, for people, such as `3 tables of db`."""

    def sample(self) -> Iterable[pa.RecordBatch]:
        """The first records, which show the types of columns; none where looking would consume them: then the spec
        states `events.columns`."""

    def read(self) -> beam.PTransform[beam.pvalue.PBegin, beam.PCollection[Any]]:
        """The events: dicts, named tuples or RecordBatches; of unbounded input with a timestamp that is no later than
        the event's time, and a watermark."""


class SinkPlugIn(Protocol):
    """Records to elsewhere, by a URI. The record's name is `Score`, `Receipt`, `ModelEvent`, `DriftStatistic`,
    `Quality` or `DeadLetter`; receipts and model events of `sinks.audit` go to URIs that end in `/receipts` and
    `/models`."""

    def check(self) -> None:
        """Opens what is written to before the run, and creates what is absent. `ValueError` says what the URI allows;
        other errors that it cannot be written."""

    def write(self) -> beam.PTransform[beam.PCollection[pa.RecordBatch], Any]:
        """Writes batches in the record's Arrow schema; a batch may come again after a retry, and has the same ids."""
