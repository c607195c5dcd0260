"""What cannot be read is told with the file and the line, row or record in it, also within compressed files."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from fastavro import parse_schema, writer

from pipeline.endpoints.files.source import form_of, read_file
from pipeline.spec.job import events_spec
from transforms.decoding.decode_raw import decode_raw

Rows = Sequence[dict[str, Any]]
SCHEMA = {
    "type": "record", "name": "Flight",
    "fields": [{"name": "id", "type": "string"}, {"name": "t", "type": "string"}, {"name": "delay", "type": "double"}],
}  # fmt: skip


def flights(number: int, *late: int) -> list[dict[str, Any]]:
    """Events from 1 on; those that are `late` have no time that can be read."""
    at = "2013-01-01T06:00:00Z"
    return [{"id": f"e{n}", "t": "soon" if n in late else at, "delay": n / 2} for n in range(1, number + 1)]


def details(path: Path, format_name: str) -> list[str]:
    """What the dead letters of a file say, from the file's name to the column."""
    said = {"uri": str(path), "format": format_name, "event_id": "id", "event_time": "t"}
    spec = events_spec({**said, **({"csv": {}} if format_name == "csv" else {})}, {"delay": "number"})
    letters = [
        letter.detail for block in read_file(str(path), format_name, form_of(spec))
        for letter in decode_raw(block, spec, 0).letters
    ]  # fmt: skip
    return [detail.removeprefix(f"{path.parent}/").partition(": ")[0] for detail in letters]


def lines(rows: Rows) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def test_line_of_json(tmp_path: Path) -> None:
    path, good = tmp_path / "a.json", flights(2)
    path.write_bytes(lines(good) + b"\n{\n" + lines(good) + b"{\n" + lines(flights(1, 1)) + b'{"id": "e9"')
    assert details(path, "json") == ["a.json line 4", "a.json line 7", "a.json line 8", "a.json line 9"]


@pytest.mark.parametrize("late", [1, 50_001, 60_000])
def test_line_of_json_far_into_a_compressed_file(tmp_path: Path, late: int) -> None:
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(lines(flights(60_000, late)), 1))
    assert details(path, "json") == [f"a.json.gz line {late}"]


@pytest.mark.parametrize("indent", [None, 2])
def test_object_of_a_json_array(tmp_path: Path, indent: int | None) -> None:
    (tmp_path / "a.json").write_text(json.dumps(flights(7, 3, 6), indent=indent))
    assert details(tmp_path / "a.json", "json") == ["a.json record 3", "a.json record 6"]


def test_no_line_is_told_behind_damage(tmp_path: Path) -> None:
    """Nobody knows how many lines the damaged member held."""
    members = [gzip.compress(lines(flights(40, 2))) for _ in range(3)]
    broken = bytearray(members[1])
    broken[len(broken) // 2] ^= 255
    (tmp_path / "a.json.gz").write_bytes(members[0] + bytes(broken) + members[2])
    first, *others = details(tmp_path / "a.json.gz", "json")
    assert first == "a.json.gz line 2"
    assert others
    assert all(other.startswith("a.json.gz@") for other in others)


def test_line_of_csv(tmp_path: Path) -> None:
    pa.csv.write_csv(pa.Table.from_pylist(flights(9, 4, 9)), tmp_path / "a.csv")
    assert details(tmp_path / "a.csv", "csv") == ["a.csv line 5", "a.csv line 10"]  # the header is the first


def test_row_group_and_row_of_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(flights(9, 2, 7)), tmp_path / "a.parquet", row_group_size=4)
    found = details(tmp_path / "a.parquet", "parquet")
    assert found == ["a.parquet row group 0, row 2", "a.parquet row group 1, row 7"]


def test_record_of_an_avro_block(tmp_path: Path) -> None:
    with open(tmp_path / "a.avro", "wb") as stream:
        writer(stream, parse_schema(SCHEMA), flights(9, 3, 8))
    (first, last) = details(tmp_path / "a.avro", "avro")
    assert (first.partition("@")[0], first[-9:], last[-9:]) == ("a.avro", " record 3", " record 8")
