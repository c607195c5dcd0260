"""Tables in files: equal in each format, and refused with the reason where anything in them is wrong."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.endpoints.errors import NoInput
from pipeline.endpoints.lookups.open_lookups import OpenedLookups, open_lookups
from pipeline.endpoints.lookups.table_files import FileTables, TableRefused
from pipeline.table_rows import read_for_store
from schemas.batches import keys_of
from schemas.validation import SpecError

ROWS: list[dict[str, Any]] = [
    {"code": "A", "since": "2013-01-01T00:00:00Z", "year": 1990, "share": 0.5, "maker": 'Airbus, "S.A.S."'},
    {"code": "B", "since": "2013-01-02T00:00:00Z", "year": 2001, "share": 1.5, "maker": None},
    {"code": "A", "since": "2013-02-01T00:00:00Z", "year": None, "share": 2.5, "maker": "Böing"},
]
COLUMNS = ["year", "share", "maker"]
JANUARY, FEBRUARY = (np.datetime64(day, "us").astype(np.int64) for day in ("2013-01-20", "2013-02-20"))


def write(path: Path, rows: list[dict[str, Any]], kind: str) -> None:
    table = pa.Table.from_pylist(rows)
    if kind == "csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif kind == "json":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif kind == "parquet":
        pq.write_table(table, path)
    elif kind == "arrow":
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    else:
        types = {"year": "long", "share": "double"}
        fields = [{"name": name, "type": ["null", types.get(name, "string")]} for name in rows[0]]
        with path.open("wb") as file:
            fastavro.writer(file, fastavro.parse_schema({"type": "record", "name": "Row", "fields": fields}), rows)


def opened(
    path: Path,
    columns: Any = COLUMNS,
    on: str = "string",
    max_rows: int | None = None,
    used: list[str] | None = None,
    **table: Any,
) -> OpenedLookups:
    stated = {"uri": f"file://{path}", "key": "code", "valid_from": "since", **table}
    one = {"name": "plane", "on": "carrier", "columns": columns, "table": {k: v for k, v in stated.items() if v}}
    features = [f"plane.{name}" for name in (columns if used is None else used)]
    lookup = one | ({"max_rows": max_rows} if max_rows else {})
    return open_lookups({"features": features, "lookups": [lookup]}, {"carrier": on})


def found(tables: OpenedLookups, keys: list[Any], times: list[Any]) -> list[dict[str, Any]]:
    [table], [spec] = tables.of_files, tables.specs
    columns = table.take(table.rows_at(pa.array(keys), np.array(times, np.int64)))
    return list(pa.table(columns, names=list(spec.kinds)).to_pylist())


@pytest.mark.parametrize("kind", ["csv", "json", "parquet", "arrow", "avro"])
def test_a_table_says_the_same_in_each_format(tmp_path: Path, kind: str) -> None:
    write(tmp_path / f"planes.{kind}", ROWS, kind)
    tables = opened(tmp_path / f"planes.{kind}")
    said = found(tables, ["A", "A", "B", "C"], [JANUARY, FEBRUARY, FEBRUARY, FEBRUARY])
    expected = [{f"plane.{name}": row[name] for name in COLUMNS} for row in (ROWS[0], ROWS[2], ROWS[1])]
    assert said == [*expected, dict.fromkeys(expected[0])]
    whole = "number" if kind == "csv" else "integer"
    assert tables.specs[0].kinds == {"plane.year": whole, "plane.share": "number", "plane.maker": "string"}
    assert len(tables.specs[0].version) == 16


def test_keys_of_csv_are_read_as_the_events_have_them(tmp_path: Path) -> None:
    (tmp_path / "zips.csv").write_text("code,year\n007,1\n8,2\n")
    of_texts = opened(tmp_path / "zips.csv", ["year"], valid_from=None)
    of_numbers = opened(tmp_path / "zips.csv", ["year"], "integer", valid_from=None)
    assert [row["plane.year"] for row in found(of_texts, ["007", "7", "8"], [0, 0, 0])] == [1, None, 2]
    assert [row["plane.year"] for row in found(of_numbers, [7, 8], [0, 0])] == [1, 2]


def test_several_columns_together_are_a_key(tmp_path: Path) -> None:
    (tmp_path / "routes.csv").write_text("from,to,miles\n1,a|b,5\n1|a,b,6\n2,,7\n")
    table = {"uri": f"file://{tmp_path}/routes.csv", "key": ["from", "to"]}
    lookup = {"name": "route", "on": ["origin", "dest"], "columns": ["miles"], "table": table}
    tables = open_lookups({"features": ["route.miles"], "lookups": [lookup]}, {"origin": "string", "dest": "string"})
    events = pa.record_batch({"origin": ["1", "1|a", "2", "1"], "dest": ["a|b", "b", None, "b"]})
    rows = tables.of_files[0].rows_at(keys_of(events, tables.specs[0].on), np.zeros(4, np.int64))
    assert tables.of_files[0].take(rows)[0].to_pylist() == [5, 6, None, None]


def test_times_are_in_the_zone_and_form_that_the_table_states(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("code,since,year\nA,01.01.2013 01:00,1\nA,01.02.2013 01:00,2\n")
    tables = opened(tmp_path / "t.csv", ["year"], time_format="%d.%m.%Y %H:%M", time_zone="Europe/Berlin")
    first = np.datetime64("2013-01-01T00:00", "us").astype(np.int64)
    assert [row["plane.year"] for row in found(tables, ["A"] * 2, [first - 1, first])] == [None, 1]


def test_a_folder_with_partitions_is_one_table_and_its_version_is_of_all_files(tmp_path: Path) -> None:
    for region, row in (("EU", ROWS[0]), ("US", ROWS[1])):
        (tmp_path / f"region={region}").mkdir()
        write(tmp_path / f"region={region}" / "a.json", [row], "json")
    tables = opened(tmp_path, ["year", "region"])
    assert [row["plane.region"] for row in found(tables, ["A", "B"], [FEBRUARY] * 2)] == ["EU", "US"]
    (tmp_path / "region=US").rename(tmp_path / "region=UK")
    assert opened(tmp_path, ["year", "region"]).specs[0].version != tables.specs[0].version


REFUSED = {
    "a time twice": (
        "code,since,year\nA,2013-01-01,1\nA,2013-01-01,2\n",
        "the key 'A' has several rows from 2013-01-01",
    ),
    "no number": ("code,since,year\n" + "A,2013-01-01,1\n" * 0 + "A,2013-01-01,1\nB,2013-01-01,x\n", "line 3"),
    "no time": ("code,since,year\nA,,1\n", "line 2: the row has a key and no since; expected: the time from which on"),
    "no record": ("code,since,year\n", "lookups[0].table.uri: no readable record"),
    "too many": ("code,since,year\nA,2013-01-01,1\nB,2013-01-01,1\nC,2013-01-01,1\n", "it has more rows"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_is_wrong_in_a_table_refuses_it(tmp_path: Path, why: str) -> None:
    content, said = REFUSED[why]
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(NoInput) as refused:
        opened(
            tmp_path / "t.csv", {"year": "integer"} if why == "no number" else ["year"], time_format="date", max_rows=2
        )
    assert said in str(refused.value), str(refused.value)


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    write(tmp_path / "planes.json", ROWS, "json")
    with pytest.raises(SpecError) as wrong:
        opened(tmp_path / "planes.json", ["yeer"])
    assert (wrong.value.path, "'year'" in wrong.value.allowed) == ("lookups[0].columns[0]", True)
    with pytest.raises(SpecError, match=r"lookups\[0\].table.valid_from: 'sense' is not allowed"):
        opened(tmp_path / "planes.json", valid_from="sense")


def test_a_file_that_changed_since_the_job_started_is_not_read(tmp_path: Path) -> None:
    write(tmp_path / "planes.json", ROWS, "json")
    [spec] = opened(tmp_path / "planes.json").specs
    assert FileTables().load(spec).num_rows == 3
    write(tmp_path / "planes.json", ROWS[:2], "json")
    with pytest.raises(TableRefused, match=f"and was {spec.version} when the job started; expected: files that"):
        FileTables().load(spec)
    assert FileTables().load(replace(spec, version=opened(tmp_path / "planes.json").specs[0].version)).num_rows == 2


@pytest.mark.parametrize("columns", [COLUMNS, {"year": "integer", "share": "number", "maker": "string"}])
def test_columns_that_nothing_reads_are_not_loaded(
    tmp_path: Path, columns: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "planes.parquet", ROWS, "parquet")
    tables = opened(tmp_path / "planes.parquet", columns, used=["share"])
    assert (tables.specs[0].kinds, tables.of_files[0].schema.names) == ({"plane.share": "number"}, ["share"])
    assert "names year, maker, so that nothing reads it" in capsys.readouterr().err
    assert opened(tmp_path / "planes.parquet", columns, used=[]).of_files[0].num_rows == 3
    with pytest.raises(SpecError) as wrong:
        opened(tmp_path / "planes.parquet", ["yeer", "maker"], used=["maker"])
    assert wrong.value.path == "lookups[0].columns[0]"


@pytest.mark.parametrize("kind", ["csv", "json", "parquet", "arrow", "avro"])
def test_files_of_each_format_are_published_with_all_their_columns(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / f"planes.{kind}", ROWS, kind)
    table = {"uri": str(tmp_path / f"planes.{kind}"), "key": "code", "valid_from": "since"}
    made = read_for_store("planes", table, None, 3)
    assert made.rows.num_rows == 3
    assert sorted(made.rows.schema.names) == ["code", "maker", "share", "since", "year"]
    kinds = made.manifest()["columns"]
    assert (sorted(kinds), kinds["share"], kinds["maker"]) == (["maker", "share", "year"], "number", "string")
    assert "events" not in (said := capsys.readouterr().err), said
    assert "publish." not in said, said
    with pytest.raises(TableRefused, match="at most max_rows, 2; next: a greater --max_rows"):
        read_for_store("planes", table, None, 2)
