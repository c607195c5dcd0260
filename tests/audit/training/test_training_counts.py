"""What counts training records is equal to a reader of each record, and its cost is not that of their numbers."""

import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from audit.asking.training.counting import count_named

ROWS: list[dict[str, Any]] = [
    {"id": f"e{n}", "who": None if n % 7 == 0 else f"ann {n % 5}", "number": n, "share": n / 4, "ok": n % 2 == 0}
    for n in range(400)
]
SOUGHT = [
    {"e17"},
    {"ann 3", "e5"},
    {"17", "e17"},
    {"0.75"},
    {"True", "e1"},
    {"absent"},
    {f"e{n}" for n in range(0, 90)},
]


def parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), stream, row_group_size=64)
    return stream.getvalue()


def dictionaries(rows: Sequence[Mapping[str, Any]]) -> bytes:
    table, stream = pa.Table.from_pylist(list(rows)), io.BytesIO()
    pq.write_table(table.set_column(1, "who", table.column("who").dictionary_encode()), stream)
    return stream.getvalue()


def json_lines(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(each) + "\n" for each in rows).encode()


def avro(rows: Sequence[Mapping[str, Any]]) -> bytes:
    kinds = {"id": "string", "who": ["null", "string"], "number": "long", "share": "double", "ok": "boolean"}
    schema = {"type": "record", "name": "R", "fields": [{"name": name, "type": kind} for name, kind in kinds.items()]}
    stream = io.BytesIO()
    fastavro.writer(stream, schema, rows, sync_interval=2_000)
    return stream.getvalue()


WRITERS: dict[str, Callable[[Sequence[Mapping[str, Any]]], bytes]] = {
    "records.parquet": parquet, "words.parquet": dictionaries, "records.jsonl": json_lines, "records.avro": avro,
}  # fmt: skip


@pytest.mark.parametrize("sought", SOUGHT, ids=lambda each: min(each))
@pytest.mark.parametrize("name", WRITERS)
def test_records_are_counted_as_one_reads_each_of_them(name: str, sought: set[str]) -> None:
    expected = sum(any(str(value) in sought for value in row.values() if value is not None) for row in ROWS)
    assert count_named(WRITERS[name](ROWS), name, sought) == expected


@pytest.mark.parametrize(
    ("column", "sought", "count"),
    [
        (pa.array([[["e1"], ["e2", "e1"]], None, [[]], [["e3"]]]), {"e1"}, 1),
        (pa.array([[("e1", "x")], [("x", "e1")]], pa.map_(pa.string(), pa.string())), {"e1"}, 1),
        (pa.array([{"of": {"id": 7}}, {"of": {"id": 8}}]), {"8"}, 1),
        (pa.array([b"e1", b"e2"]), {"e2", "e3"}, 1),
        (pa.array([300, 5], pa.int16()), {"300", "99999999999", "05"}, 1),
        (pa.array([datetime(2013, 1, 1, tzinfo=UTC), None]), {"2013-01-01 00:00:00+00:00"}, 1),
        (pa.array([float("nan"), 1e16]), {"nan", "1e+16"}, 2),
    ],
    ids=["lists", "maps", "structs", "bytes", "whole", "times", "odd"],
)  # fmt: skip
def test_columns_within_columns_are_looked_through(column: pa.Array, sought: set[str], count: int) -> None:
    stream = io.BytesIO()
    pq.write_table(pa.table({"a": column, "b": [1.5] * len(column)}), stream)
    assert count_named(stream.getvalue(), "records.parquet", sought) == count


@pytest.mark.parametrize(
    ("raw", "sought", "count"),
    [
        (b'{"id": "\\u0065\\u0031"}\n{"id": "e2"}\n', {"e1"}, 1),
        (b'{"id": 1}\n{"id": "e1"}\n', {"e1"}, 1),
        (b'[{"id": "e1"}, {"id": "e2"}]', {"e1", "e2"}, 2),
        (b'{"at": "2013-01-01 00:00:00"}\n', {"2013-01-01 00:00:00"}, 1),
        (b'{"id": "1.0"}\n{"id": 1.0}\n', {"1.0"}, 2),
    ],
    ids=["escaped", "of two types", "a list", "a time", "a number"],
)
def test_documents_are_counted_however_they_are_written(raw: bytes, sought: set[str], count: int) -> None:
    assert count_named(raw, "records.json", sought) == count


@pytest.mark.parametrize(
    ("raw", "sought", "count"),
    [
        (b"id,x\n" + b"1,2.5\n" * 9_000 + b"e1,n/a\n", {"e1"}, 1),
        (b"id,x\n" + b"1,2.5\n" * 9_000 + b"2,e1\n", {"e1"}, 1),
        (b'id;x\n"e1";"a\nb"\n"e2";"e1"\n', {"e1"}, 2),
        (b"e1\ne2\ne1", {"e1"}, 2),
        (b"NA,1\nnull,2\n", {"NA", "null"}, 2),
    ],
    ids=["a text late", "in a column of numbers", "lines in quotes", "no header", "words for nothing"],
)
def test_tables_of_text_are_counted_whatever_their_columns_look_like(raw: bytes, sought: set[str], count: int) -> None:
    assert count_named(raw, "records.csv", sought) == count


@pytest.mark.parametrize("name", ["records.parquet", "records.csv", "records.jsonl"])
def test_the_numbers_of_training_records_are_not_looked_at_one_by_one(name: str) -> None:
    rows, drawn = 100_000, np.random.default_rng(1)
    table = pa.table({"id": [f"e{n}" for n in range(rows)]} | {f"f{n}": drawn.normal(size=rows) for n in range(8)})
    stream = io.BytesIO()
    if name.endswith("parquet"):
        pq.write_table(table, stream)
    elif name.endswith("csv"):
        pa_csv.write_csv(table, stream)
    else:
        line = "".join(f', "f{n}": 0.{n}2345' for n in range(8))
        stream.write("".join(f'{{"id": "e{n}"{line}}}\n' for n in range(rows)).encode())
    began = time.process_time()
    assert count_named(stream.getvalue(), name, {"e500", "e99999", "e7", "e8", "e9", "e10"}) == 6
    assert time.process_time() - began < 0.5
