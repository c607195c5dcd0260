"""When the rows of a sample happened: the times of its events, by which windows of them are known."""

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from models.profiles.training_windows import EVENT_TIME
from models.publishing.description import CannotPublish

_USUAL = (EVENT_TIME, f"__{EVENT_TIME}")  # as `halflife features` names it
_UTC, _LOCAL = pa.timestamp("us", "UTC"), pa.timestamp("us")


class SampleTimes(NamedTuple):
    """Of each row the time of its event (timestamps, shape (n,)); None where it is not known, and `why` not."""

    times: pa.Array | None = None
    why: str = ""


def times_of(sample: pa.Table, stated: str | None = None, of_job: str | None = None) -> SampleTimes:
    """The times of a sample's events: of the column that is `stated`, else `event_time`, else that of a job's events.

    Raises:
        CannotPublish: the stated column is not there, or does not hold times.
    """
    names = [stated] if stated is not None else [*_USUAL, *([] if of_job is None else [of_job])]
    there = [name for name in names if sample.schema.names.count(name) == 1]
    found = [_times(name, sample.column(name)) for name in there]
    known = next((each for each in found if each.times is not None), None)
    if known is not None:
        return known
    why = found[0].why if found else f"it has no column {' or '.join(dict.fromkeys([names[0], names[-1]]))}"
    if stated is not None:
        refused = f"--event_time {stated!r} is not allowed ({_as_clause(why)})"
        raise CannotPublish(f"{refused}; expected: {_expected(sample)}")
    return SampleTimes(why=why)


def _as_clause(why: str) -> str:
    return why.replace("it has no", "the sample has no", 1)


def _expected(sample: pa.Table) -> str:
    timed: Sequence[str] = [name for name in sample.schema.names if _times(name, sample.column(name)).times is not None]
    return f"a column of times, such as {', '.join(timed[:4])}" if timed else "a column of times, none of them null"


def _times(name: str, column: pa.ChunkedArray) -> SampleTimes:
    """Timestamps and dates as they are, texts as ISO 8601."""
    values = column.combine_chunks()
    if values.null_count:
        return SampleTimes(why=f"{values.null_count:,} of its {len(values):,} values of {name} are null")
    if pa.types.is_timestamp(values.type):
        return SampleTimes(values)
    if pa.types.is_date(values.type):
        return SampleTimes(pc.cast(values, _LOCAL))
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        for kind in (_UTC, _LOCAL):
            try:
                return SampleTimes(pc.cast(values, kind))
            except pa.ArrowInvalid:
                continue
    return SampleTimes(why=f"its column {name} holds {values.type}, no times")
