"""Records without an id: a hash of each is its id, in every format, for scores, training sets and labels."""

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.training_set import write_features
from tests.pipeline.jobs.flows import START_US, Flow, container, json_lines, read_avro, trips

HEADER = "at;delay;distance;carrier;paid\n"


def lines(count: int) -> list[str]:
    return [f"{START_US + each};{each / 2};{each};A;{('yes', 'no')[each % 2]}" for each in range(count)]


def without_ids(count: int) -> list[dict[str, Any]]:
    return [{name: value for name, value in trip.items() if name != "id"} for trip in trips(count)]


def ids_of(flow: Flow, format_name: str) -> set[str]:
    outcome = flow.run(flow.spec(format_name, event_id="__row_hash"), "--sinks", "replace")
    assert outcome.code == 0, outcome.err
    return {record["event_id"] for record in read_avro(flow.root / "scores")}


def test_equal_records_are_one_event_and_others_are_not(flow: Flow) -> None:
    rows = lines(5)
    flow.feed((HEADER + "\n".join([*rows, rows[2], rows[2]])).encode(), "in.csv")
    assert ids_of(flow, "csv") == {hashlib.sha256(row.encode()).hexdigest()[:32] for row in rows}
    assert [(letter["stage"], letter["error"]) for letter in flow.letters()] == [("features", "DuplicateEvent")] * 2


@pytest.mark.parametrize("format_name", ["json", "avro", "parquet"])
def test_every_format_has_hashes_that_stay_the_same(flow: Flow, format_name: str) -> None:
    records = without_ids(6)
    schema = {"type": "record", "name": "T", "fields": [
        {"name": "at", "type": "long"}, {"name": "delay", "type": "double"}, {"name": "distance", "type": "long"},
        {"name": "carrier", "type": "string"}]}  # fmt: skip
    if format_name == "parquet":  # two rows that differ in a column alone that the job does not read
        unread = [{**record, "unread": number} for number, record in enumerate([*records, records[0]])]
        pq.write_table(pa.Table.from_pylist(unread), flow.root / "in.parquet")
    else:
        flow.feed(json_lines(records) if format_name == "json" else container(records, schema))
    found = ids_of(flow, format_name)
    assert len(found) == (7 if format_name == "parquet" else 6)
    assert ids_of(flow, format_name) == found


def test_labels_in_the_same_records_are_joined_by_the_hash(flow: Flow) -> None:
    flow.feed((HEADER + "\n".join(lines(6))).encode(), "in.csv")
    truth = {"uri": str(flow.root / "in*"), "event_id": "__row_hash", "event_time": "at", "column": "paid"}
    spec = flow.spec("csv", event_id="__row_hash") | {"labels": {**truth, "positive": "== yes"}}
    outcome = flow.run(spec, "--out", str(flow.root / "set"), "--labels", verb=write_features)
    assert outcome.code == 0, outcome.err
    [path] = Path(flow.root / "set").glob("*.parquet")
    assert {row["delay"]: row["label"] for row in pq.read_table(path).to_pylist()} == {
        each / 2: each % 2 == 0 for each in range(6)
    }


def test_another_name_of_halflifes_own_is_no_column(flow: Flow) -> None:
    outcome = flow.run(flow.spec(event_id="__hash"))
    expected = "events.event_id: '__hash' is not allowed; expected: the name of an event column (names"
    assert (outcome.code, expected in outcome.err) == (2, True), outcome.err
