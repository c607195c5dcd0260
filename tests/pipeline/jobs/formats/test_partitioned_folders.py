"""Folders of files: columns in the names of folders, and files whose columns differ."""

import io
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from pipeline.endpoints.matching import files_of_folder, matching_files
from tests.pipeline.jobs.flows import Flow, Outcome, container, json_lines, read_avro, trips

ROWS = trips(8)
INPUT = {"name": "delay", "type": "number", "nullable": True, "default": 0.0}


def parquet(rows: list[dict[str, Any]]) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), stream)
    return stream.getvalue()


def csv(rows: list[dict[str, Any]]) -> bytes:
    stream = io.BytesIO()
    pyarrow.csv.write_csv(pa.Table.from_pylist(rows), stream)
    return stream.getvalue()


def avro(rows: list[dict[str, Any]]) -> bytes:
    kinds = {int: "long", float: "double", str: "string"}
    fields = [{"name": name, "type": kinds[type(value)]} for name, value in rows[0].items()]
    return container(rows, {"type": "record", "name": "Trip", "fields": fields})


WRITERS: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    "parquet": parquet,
    "csv": csv,
    "json": json_lines,
    "avro": avro,
}


def lay(flow: Flow, name: str, content: bytes) -> None:
    path = flow.root / "data" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def lay_by_carrier(flow: Flow, write: Callable[[list[dict[str, Any]]], bytes]) -> None:
    """The trips, whose carrier and distance only the names of folders hold."""
    for row in ROWS:
        rest = {name: value for name, value in row.items() if name not in ("carrier", "distance")}
        lay(flow, f"carrier={row['carrier']}/distance={row['distance']}/part-0.0", write([rest]))


def run(flow: Flow, *arguments: str, **events: Any) -> Outcome:
    spec = flow.spec(**{"uri": str(flow.root / "data"), **events})
    if "format" not in events:
        del spec["events"]["format"]
    return flow.run(spec, "--sinks", "replace", *arguments)


def receipts(flow: Flow) -> dict[str, Any]:
    return {each["event_id"]: each["features"] for each in read_avro(flow.root / "audit" / "receipts")}


@pytest.fixture
def wide(flow: Flow) -> Flow:
    """A job whose model reads all columns of a trip."""
    inputs = [INPUT, {"name": "distance", "type": "number", "nullable": True, "default": 0.0},
              {"name": "carrier", "type": "string", "nullable": True}]  # fmt: skip
    linear = {"intercept": 0.0, "coefficients": {"delay": 0.1, "distance": 0.01}, "means": {}, "scales": {},
              "categories": {"carrier": {"A": 1.0, "B": -1.0}}}  # fmt: skip
    manifest = {"scorer": "linear", "version": "wide", "inputs": inputs, "linear": linear,
                "output": {"kind": "probability"}, "training": {"trained_at": "2012-12-01T00:00:00Z"},
                "created_by": "tests"}  # fmt: skip
    flow.store.publish(flow.root / "payload", manifest)
    flow.store.append_release(champion="wide", effective_from_us=0, by="tests")
    return flow


def test_columns_of_paths_give_the_scores_of_columns_of_files_in_every_format(wide: Flow) -> None:
    wide.feed(parquet(ROWS), "whole.parquet")
    assert run(wide, uri=str(wide.root / "whole.parquet")).code == 0
    expected = {(each["score_id"], each["score"]) for each in read_avro(wide.root / "scores")}
    assert len(expected) == len(ROWS)
    for format_name, write in WRITERS.items():
        lay_by_carrier(wide, write)
        outcome = run(wide)
        assert outcome.summary["job"]["events"]["format"] == format_name
        assert (outcome.summary["records_read"], outcome.summary["scored"]) == (len(ROWS), len(ROWS)), outcome.err
        assert {(each["score_id"], each["score"]) for each in read_avro(wide.root / "scores")} == expected


def test_folder_that_a_library_partitioned_is_read(flow: Flow) -> None:
    table = pa.Table.from_pylist(
        [{**row, "carrier": "São Paulo/ü=%" if row["carrier"] == "A" else None} for row in ROWS]
    )
    pyarrow.dataset.write_dataset(
        table, flow.root / "data", format="parquet", partitioning=["carrier"], partitioning_flavor="hive"
    )
    lay(flow, "_SUCCESS", b"")
    outcome = run(flow)
    assert (outcome.summary["records_read"], outcome.summary["scored"]) == (len(ROWS), len(ROWS)), outcome.err
    from pipeline.training_set import write_features

    spec = flow.spec(uri=str(flow.root / "data"), format="parquet")
    spec["features"] = ["carrier"]
    assert flow.run(spec, "--out", str(flow.root / "rows"), verb=write_features).code == 0
    found = pq.ParquetDataset(flow.root / "rows").read().to_pylist()
    assert {(row["event_id"], row["carrier"]) for row in found} == {
        (row["id"], "São Paulo/ü=%" if row["carrier"] == "A" else None) for row in ROWS
    }


def test_columns_of_a_file_come_before_those_of_its_path_and_a_note_says_so(flow: Flow) -> None:
    lay(flow, "delay=7/other=1/in.json", json_lines([*ROWS[:4], {**ROWS[4], "delay": None}]))
    outcome = run(flow)
    assert "'delay' is in the files and in the names of their folders: what a file holds is read" in outcome.err
    found = {name: features["delay"] for name, features in receipts(flow).items()}
    assert found == {"t0": 0.0, "t1": 0.5, "t2": 1.0, "t3": 1.5, "t4": 7.0}


def test_value_of_a_path_that_does_not_fit_costs_the_records_of_its_file(flow: Flow) -> None:
    rows = [{name: value for name, value in row.items() if name != "distance"} for row in ROWS]
    for number, value in enumerate(["1", "2", "far"]):
        lay(flow, f"distance={value}/in.json", json_lines(rows[number * 2 : number * 2 + 2]))
    columns = {"delay": "number", "distance": "integer", "carrier": "string"}
    outcome = run(flow, columns=columns)
    assert outcome.summary["scored"] == 4
    details = [each["detail"] for each in flow.letters()]
    assert len(details) == 2
    assert all("distance: 'far' is not allowed; expected: an integer" in each for each in details)


@pytest.mark.parametrize("value", ["%ff", "%00", "%zz", "..%2F..%2Fetc", "x" * 200, "$(id)", "{{7*7}}"])
def test_hostile_value_is_a_text(flow: Flow, value: str) -> None:
    lay(
        flow,
        f"carrier={value}/__event_id=9/in.json",
        json_lines([{k: v for k, v in ROWS[0].items() if k != "carrier"}]),
    )
    outcome = run(flow, columns={"delay": "number", "distance": "number", "carrier": "string"})
    assert (outcome.code, outcome.summary.get("scored")) == (0, 1), outcome.err


def test_only_folders_of_that_form_are_entered(flow: Flow) -> None:
    for name in (
        "year=1/a",
        "b",
        "other/c",
        "year=1/other/d",
        "year=2/.hidden/e",
        ".x=1/f",
        "year=1/_SUCCESS",
        "year=3/m=2/g",
    ):
        lay(flow, name, b"x")
    folder = str(flow.root / "data")
    shown = ["b", "year=1/a", "year=3/m=2/g"]
    assert [path.removeprefix(f"{folder}/") for path in matching_files(folder)] == shown
    listed = {str(path): 1 for path in (flow.root / "data").rglob("*") if path.is_file()}  # as object stores do
    assert sorted(path.removeprefix(f"{folder}/") for path in files_of_folder(f"{folder}/", listed)) == [
        "b", "year=1/_SUCCESS", "year=1/a", "year=3/m=2/g",
    ]  # fmt: skip


def test_delta_table_is_no_folder_of_files(flow: Flow) -> None:
    lay(flow, "_delta_log/00000000000000000000.json", b"{}\n")
    lay(flow, "part-0.parquet", parquet(ROWS))
    outcome = run(flow)
    assert (outcome.code, len(outcome.err.strip().splitlines())) == (1, 1)
    assert "is a Delta table: its log says which of its files count" in outcome.err


@pytest.mark.parametrize("format_name", WRITERS)
def test_columns_that_files_of_a_folder_lack_or_add_are_null_or_read(flow: Flow, format_name: str) -> None:
    write = WRITERS[format_name]
    old = [{"id": row["id"], "at": row["at"], "delay": row["delay"]} for row in ROWS[:4]]
    lay(flow, "2013/old.0", write(old))
    lay(flow, "2014/new.0", write([{"carrier": "B", "added": 1, **row} for row in ROWS[4:]]))
    outcome = run(flow, uri=str(flow.root / "data" / "*" / "*.0"))
    assert (outcome.summary["scored"], flow.letters()) == (len(ROWS), []), outcome.err


def test_times_in_paths_are_times_and_belong_to_the_hash_of_a_row(flow: Flow) -> None:
    bare = json_lines([{"delay": 1.0}])
    for day in (1, 2):
        lay(flow, f"day=2024-03-0{day}/in.json", bare)
    columns = {"delay": "number", "distance": "number", "carrier": "string", "day": "timestamp"}
    outcome = run(flow, event_id="__row_hash", event_time="day", time_format="date", columns=columns)
    assert (outcome.summary["scored"], flow.letters()) == (2, []), outcome.err
    scores = read_avro(flow.root / "scores")
    assert sorted(f"{each['event_time']:%d.%m.%Y}" for each in scores) == ["01.03.2024", "02.03.2024"]
    assert len({each["event_id"] for each in scores}) == 2


def test_letter_of_a_json_record_names_its_file(flow: Flow) -> None:
    lay(flow, "a/in.json", json_lines([ROWS[0], {**ROWS[1], "at": "soon"}]))
    outcome = run(flow, uri=str(flow.root / "data" / "*" / "*.json"))
    assert outcome.summary["scored"] == 1
    (letter,) = flow.letters()
    assert "/in.json line 2: at: 'soon' is not allowed; expected: RFC 3339 text" in letter["detail"]
