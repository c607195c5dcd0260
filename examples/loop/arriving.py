"""What has arrived by a day: the events of the days before, and the labels that were known then."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from examples.flights.prepare import prepare as prepare_flights
from examples.loans.prepare import OUTCOMES
from examples.loans.prepare import prepare as prepare_loans
from examples.loans.source import ANALYSIS, REFERENCE
from schemas.avro.datums import decode_block
from schemas.avro.files import read_blocks

KNOWN_AFTER = timedelta(days=14)
"""From an application to its outcome. The package has no time for outcomes: this is an assumption of the loop, whose
stream ends too early for longer ones."""
_TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class Stream:
    """All events and all labels of an example, and which column of each is its time."""

    events: pa.Table
    labels: pa.Table
    event_time: str
    known_at: str


def loans_of(data: Path) -> Stream:
    """The applications of the loans example, and their outcomes; raises as its `prepare`."""
    prepare_loans(data / "loans")
    frames = [pd.read_csv(data / "loans" / name) for name in (REFERENCE, ANALYSIS)]
    rows = pd.concat(frames)[["id", "timestamp", "car_value", "salary_range", "debt_to_income_ratio", "loan_length",
                              "repaid_loan_on_prev_car", "size_of_downpayment", "driver_tenure"]]  # fmt: skip
    rows["repaid_loan_on_prev_car"] = rows["repaid_loan_on_prev_car"].astype(bool)
    rows["applied_at"] = pd.to_datetime(rows.pop("timestamp"), utc=True)
    outcomes = rows[["id", "applied_at"]].merge(pd.read_csv(data / "loans" / OUTCOMES)[["id", "repaid"]], on="id")
    outcomes["known_at"] = outcomes.pop("applied_at") + KNOWN_AFTER
    return Stream(_of_frame(rows, "applied_at"), _of_frame(outcomes, "known_at"), "applied_at", "known_at")


def flights_of(data: Path) -> Stream:
    """The departures of the flights example, and their arrivals; raises as its `prepare`."""
    prepare_flights(data)
    events, labels = (_of_avro(data, kind) for kind in ("departures", "arrivals"))
    return Stream(events, labels, "departed_at", "landed_at")


STREAMS: dict[str, Callable[[Path], Stream]] = {"loans": loans_of, "flights": flights_of}


def _of_frame(rows: pd.DataFrame, time: str) -> pa.Table:
    table = pa.Table.from_pandas(rows.astype({"id": str}), preserve_index=False)
    return table.set_column(table.schema.get_field_index(time), time, table[time].cast(_TIME))


def _of_avro(data: Path, kind: str) -> pa.Table:
    tables = []
    for path in sorted(data.glob(f"{kind}-*.avro")):
        with path.open("rb") as stream:
            blocks = list(read_blocks(stream))
        tables += [pa.Table.from_batches([decode_block(each.data, each.datums, each.schema).rows]) for each in blocks]
    return pa.concat_tables(tables)


class Arrivals:
    """Writes what arrives, day by day, into two folders: `arrived` has all of it, and `recent` the last files.

    Args:
        folder: of the two.
        recent: how many files of events and of labels are in `recent`, those from before `born` not counted.
    """

    def __init__(self, folder: Path, stream: Stream, recent: int) -> None:
        self._folder, self._stream, self._recent = folder, stream, recent
        self._since = datetime(1970, 1, 1, tzinfo=UTC)
        self._later: list[date] = []

    def before(self, born: date) -> None:
        """What is known when the first version is trained; no run reads it."""
        self._write(born)

    def until(self, day: date) -> None:
        """What arrives from the day before on, and before this one."""
        self._write(day)
        self._later.append(day)
        recent = self._folder / "recent"
        recent.mkdir(exist_ok=True)
        for kind in ("events", "labels"):
            os.link(self._folder / "arrived" / f"{kind}-{day}.parquet", recent / f"{kind}-{day}.parquet")
            for old in self._later[: -self._recent]:
                (recent / f"{kind}-{old}.parquet").unlink(missing_ok=True)

    def _write(self, day: date) -> None:
        until = datetime(day.year, day.month, day.day, tzinfo=UTC)
        (self._folder / "arrived").mkdir(parents=True, exist_ok=True)
        parts = (("events", self._stream.events, self._stream.event_time),
                 ("labels", self._stream.labels, self._stream.known_at))  # fmt: skip
        for kind, rows, time in parts:
            since_us, until_us = pa.scalar(self._since, _TIME), pa.scalar(until, _TIME)
            own = rows.filter(pc.and_(pc.greater_equal(rows[time], since_us), pc.less(rows[time], until_us)))
            pq.write_table(own.sort_by(time), self._folder / "arrived" / f"{kind}-{day}.parquet")
        self._since = until
