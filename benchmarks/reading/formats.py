"""How fast each format is read: files to a job's events, beside pandas and pyarrow; writes benchmarks/FORMATS.md.

python -m benchmarks.reading.formats --events 300000 --rounds 5
"""

import argparse
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from benchmarks.arguments import positive_whole
from benchmarks.table import MIB, machine, markdown
from benchmarks.workload import ROOT
from pipeline.endpoints.files.source import form_of, read_file
from schemas.job import CsvSpec, EventsSpec
from transforms.decoding.decode_raw import decode_raw

_COLUMNS = (("dep_delay", "number"), ("distance", "integer"), ("origin", "string"), ("carrier", "string"))
_FIELDS = [
    {"name": "id", "type": "string"},
    {"name": "time", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "dep_delay", "type": ["null", "double"]},
    {"name": "distance", "type": "long"},
    {"name": "origin", "type": "string"},
    {"name": "carrier", "type": "string"},
]
_EVENTS = 300_000


class Way(NamedTuple):
    """How a file of a format is written, and read by others; None: they do not read it. `changes`: of the spec."""

    format: str
    write: Callable[[pa.Table, Path], None]
    by_pyarrow: Callable[[Path], Any] | None
    by_pandas: Callable[[Path], Any] | None
    changes: Mapping[str, Any] = {}


def made(events: int) -> pa.Table:
    """Events like those of the flights example, the same each time."""
    random = np.random.default_rng(1)
    delays = np.round(random.exponential(20, events), 1)
    return pa.table(
        {
            "id": pa.array([f"UA-{number}" for number in range(events)]),
            "time": pa.array(1_370_044_800_000_000 + np.arange(events) * 60_000_000).cast(pa.timestamp("us", "UTC")),
            "dep_delay": pa.array(delays, mask=random.random(events) < 0.02),
            "distance": pa.array(random.integers(90, 2_500, events)),
            "origin": pa.array(random.choice(["LGA", "JFK", "EWR"], events)),
            "carrier": pa.array(random.choice(["UA", "B6", "AA", "DL"], events)),
        }
    )


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.set_column(1, "time", table["time"].cast(pa.int64())).to_pylist()
    return rows


def _csv(table: pa.Table, path: Path) -> None:
    pyarrow.csv.write_csv(table, path)


def _local_csv(table: pa.Table, path: Path) -> None:
    """As people write it: semicolons, decimal commas, local times in their own form."""
    delays = pc.replace_substring(table["dep_delay"].cast(pa.string()), ".", ",")
    times = pa.array([f"{value:%d.%m.%Y %H:%M:%S}" for value in table["time"].to_pylist()])
    local = table.set_column(1, "time", times).set_column(2, "dep_delay", delays)
    pyarrow.csv.write_csv(local, path, pyarrow.csv.WriteOptions(delimiter=";"))


def _parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, compression="zstd")


def _arrow(table: pa.Table, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=65_536)


def _json(table: pa.Table, path: Path) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in _rows(table)))


def _nested_json(table: pa.Table, path: Path) -> None:
    path.write_text("".join(json.dumps({"op": "c", "before": None, "after": row}) + "\n" for row in _rows(table)))


def _avro(table: pa.Table, path: Path) -> None:
    stream = io.BytesIO()
    schema = fastavro.parse_schema({"type": "record", "name": "Flight", "fields": _FIELDS})
    fastavro.writer(stream, schema, table.to_pylist(), codec="deflate", sync_interval=1_000_000)
    path.write_bytes(stream.getvalue())


_GERMAN = {"csv": CsvSpec(";", ",", encoding="utf-8"), "time_format": "%d.%m.%Y %H:%M:%S", "time_zone": "Europe/Berlin",
           "time_ambiguous": "earlier"}  # fmt: skip
WAYS: Mapping[str, Way] = {
    "CSV": Way("csv", _csv, pyarrow.csv.read_csv, pd.read_csv, {"csv": CsvSpec(",", ".", encoding="utf-8")}),
    "CSV, decimal commas, local times": Way("csv", _local_csv, None, None, _GERMAN),
    "Parquet, zstd": Way("parquet", _parquet, pq.read_table, pd.read_parquet),
    "Arrow file": Way("arrow", _arrow, lambda path: pa.ipc.open_file(path).read_all(), pd.read_feather),
    "JSON lines": Way("json", _json, pyarrow.json.read_json, lambda path: pd.read_json(path, lines=True)),
    "JSON lines in Debezium's envelope": Way("json", _nested_json, None, None, {"envelope": "debezium"}),
    "Avro, deflate": Way("avro", _avro, None, None),
}


def ours(path: Path, way: Way) -> int:
    """The events of a file, as a job decodes them."""
    spec = EventsSpec("", way.format, "id", "time", None, 0, _COLUMNS, (0, 2**52), "us", **way.changes)  # type: ignore[arg-type]  # one of them
    found = 0
    for block in read_file(str(path), way.format, form_of(spec)):
        decoded = decode_raw(block, spec, 0)
        found += 0 if decoded.events is None else decoded.events.num_rows
    return found


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measured(work: Path, events: int, rounds: int) -> list[list[str]]:
    """A row for each way: its size, and events a second; the readers take turns, and the medians are shown."""
    table, rows, path = made(events), [], work / "events"
    for name, way in WAYS.items():
        way.write(table, path)
        if (found := ours(path, way)) != events:
            raise AssertionError(f"{name}: {found} events read; expected: {events}")
        readers = (partial(ours, way=way), way.by_pyarrow, way.by_pandas)
        turns = [[None if read is None else seconds(partial(read, path)) for read in readers] for _ in range(rounds)]
        rows.append(
            [name, f"{path.stat().st_size / MIB:.1f}", *(_rate(events, each) for each in zip(*turns, strict=True))]
        )
    return rows


def _rate(events: int, taken: Sequence[float | None]) -> str:
    known = [each for each in taken if each is not None]
    return f"{events / statistics.median(known):,.0f}" if known else "–"


HEADER = ["format", "MiB", "a job, events/s", "pyarrow", "pandas"]
METHOD = """\
The same events (id, time, two numbers, two texts; 2 % of one column null) in each format, read from a warm file by one
process: by a job, which finds each record's bytes, checks and converts each value, and makes a dead letter of each that
does not fit; by pyarrow and pandas, which make a table of the file and check nothing. "–": not read by that library
alone, or not with these forms. The readers take turns; figures are medians. Other work on the machine lowers all of
them alike, so the ratios say more than the figures."""


def main() -> int:
    """Measures and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reading.formats", allow_abbrev=False)
    parser.add_argument("--events", type=positive_whole, default=_EVENTS, help=f"default {_EVENTS:,}")
    parser.add_argument("--rounds", type=positive_whole, default=5, help="of each reader (default 5)")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "FORMATS.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="halflife-formats-") as work:
        rows = measured(Path(work), given.events, given.rounds)
    parts = [
        "# How fast each format is read",
        "Written by `python -m benchmarks.reading.formats`.",
        f"{machine()}, pandas {pd.__version__}\n- {given.events:,} events, {given.rounds} rounds",
        METHOD,
        markdown(HEADER, rows),
    ]
    given.out.write_text("\n\n".join(parts) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
