"""A table of a million rows of ten columns, read and joined as of event time; writes benchmarks/LOOKUPS.md.

python -m benchmarks.reading.lookups --rows 1000000 --events 1000000 --rounds 5
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from benchmarks.arguments import positive_whole
from benchmarks.table import MIB, machine, markdown
from benchmarks.workload import ROOT
from pipeline.endpoints.lookups.open_lookups import OpenedLookups, open_lookups
from schemas import batches
from transforms.lookups.joining import with_lookups

_ROWS, _OF_KEY = 1_000_000, 4
_START_US, _YEAR_US = 1_356_998_400_000_000, 31_536_000_000_000
_BATCH_ROWS = 10_000
_NUMBERS = tuple(f"n{index}" for index in range(8))
_TEXTS = ("maker", "model")
COLUMNS = (*_NUMBERS, *_TEXTS)


def made(rows: int) -> pa.Table:
    """A table with four rows of each key, in no order; the same each time."""
    random = np.random.default_rng(1)
    order = random.permutation(rows)
    since = _START_US + random.integers(0, _YEAR_US // _OF_KEY, rows) + (order % _OF_KEY) * (_YEAR_US // _OF_KEY)
    columns: dict[str, Any] = {
        "tailnum": pa.array([f"N{key}UA" for key in (order // _OF_KEY).tolist()]),
        "since": pa.array(since).cast(batches.TIME_TYPE),
    }
    columns |= {name: random.random(rows) for name in _NUMBERS[:5]}
    columns |= {name: random.integers(0, 1_000_000, rows) for name in _NUMBERS[5:]}
    return pa.table(columns | {name: pa.array(random.choice(["Airbus", "Boeing"], rows)) for name in _TEXTS})


def events_of(events: int, rows: int) -> pa.RecordBatch:
    """Events of a year in no order, a fifth of them of keys that the table does not have."""
    random = np.random.default_rng(2)
    keys = random.integers(0, max(rows // _OF_KEY * 5 // 4, 1), events).tolist()
    times = pa.array(_START_US + random.integers(0, _YEAR_US, events)).cast(batches.TIME_TYPE)
    return pa.record_batch({batches.EVENT_TIME: times, "tailnum": pa.array([f"N{key}UA" for key in keys])})


def opened(path: Path) -> OpenedLookups:
    """The file as a job opens it: read, checked, sorted, and its sha256 computed."""
    table = {"uri": f"file://{path}", "format": path.suffix[1:], "key": "tailnum", "valid_from": "since"}
    lookup = {"name": "plane", "table": table, "on": "tailnum", "columns": list(COLUMNS), "max_rows": 100_000_000}
    return open_lookups({"lookups": [lookup]}, {"tailnum": "string"})


def joined(events: pa.RecordBatch, lookups: OpenedLookups) -> list[pa.RecordBatch]:
    """All events with the columns of the table, a batch at a time, as they come in a job."""
    return [with_lookups(one, *lookups).events for one in batches.slices(events, _BATCH_ROWS)]


def joined_by_pandas(events: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The same by `pandas.merge_asof`, which needs both sorted by time: the table is, the events are sorted here."""
    left = events.sort_values(batches.EVENT_TIME)
    return pd.merge_asof(left, table, left_on=batches.EVENT_TIME, right_on="since", by="tailnum")


def seconds(work: Callable[[], Any], rounds: int) -> float:
    """The median of how long the work takes."""
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def _differences(events: pa.RecordBatch, lookups: OpenedLookups, table: pd.DataFrame) -> int:
    """How many events have another row than pandas finds, by a column that has a value of its own in each row."""
    ours = pa.Table.from_batches(joined(events, lookups))["plane.n0"].to_pandas()
    numbered = events.to_pandas().assign(row=np.arange(events.num_rows))
    theirs = joined_by_pandas(numbered, table).set_index("row").sort_index()["n0"]
    return int((~np.isclose(ours, theirs, rtol=0, atol=0, equal_nan=True)).sum())


def measured(rows: int, events: int, rounds: int, folder: Path) -> str:
    """The page of a measurement."""
    table, asked = made(rows), events_of(events, rows)
    pq.write_table(table, folder / "table.parquet", compression="zstd")
    pyarrow.csv.write_csv(table, folder / "table.csv")
    sorted_table = table.to_pandas().sort_values("since")
    lookups, frame = opened(folder / "table.parquet"), asked.to_pandas()
    if wrong := _differences(asked, lookups, sorted_table):
        raise SystemExit(f"{wrong} events have another row than pandas finds; expected: none")
    ours, theirs = (
        seconds(lambda: joined(asked, lookups), rounds),
        seconds(lambda: joined_by_pandas(frame, sorted_table), rounds),
    )
    opening = {each: seconds(partial(opened, folder / each), 1) for each in ("table.parquet", "table.csv")}
    lines = [
        ("join a job's batches", f"{ours:.2f}", f"{events / ours:,.0f}"),
        ("join all at once, pandas.merge_asof", f"{theirs:.2f}", f"{events / theirs:,.0f}"),
        *(
            (f"open {name}, {(folder / name).stat().st_size / MIB:,.0f} MiB", f"{s:.2f}", "")
            for name, s in opening.items()
        ),
    ]
    return _page(rows, events, rounds, lookups.of_files[0].nbytes / MIB, lines)


def _page(rows: int, events: int, rounds: int, held_mib: float, lines: Sequence[tuple[str, str, str]]) -> str:
    return f"""# A table joined as of event time

Written by `python -m benchmarks.reading.lookups`.

{machine()}
- {rows:,} rows of {len(COLUMNS)} columns ({_OF_KEY} of each key), {events:,} events in no order, a fifth of them of \
keys without rows; {rounds} rounds

One process joins the events in batches of {_BATCH_ROWS:,}, as a job does; `pandas.merge_asof` gets them all at once, \
with a table that is sorted already, and sorts them. Both find the same rows. To open a table is to read and check it, \
to sort it and to compute its sha256. In memory it holds {held_mib:,.0f} MiB. Figures are medians.

{markdown(("what", "seconds", "events/s"), lines)}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, writes and prints the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reading.lookups", description=__doc__)
    parser.add_argument("--rows", type=positive_whole, default=_ROWS)
    parser.add_argument("--events", type=positive_whole, default=1_000_000)
    parser.add_argument("--rounds", type=positive_whole, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "LOOKUPS.md")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        page = measured(given.rows, given.events, given.rounds, Path(folder))
    given.out.write_text(page, encoding="utf-8")
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
