"""Avro's `timestamp-*` are moments, and its `local-timestamp-*` what clocks show, whichever way a file is decoded."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.training_set import write_features
from tests.pipeline.jobs.flows import SCHEMA, START_US, Flow, container, trips

HOUR_US = 3_600_000_000


def schema_of(at: Any) -> dict[str, Any]:
    fields = [{**field, "type": at} if field["name"] == "at" else field for field in SCHEMA["fields"]]
    return {**SCHEMA, "fields": fields}


def moment(unit: str, local: str = "") -> dict[str, str]:
    return {"type": "long", "logicalType": f"{local}timestamp-{unit}"}


KINDS: list[tuple[Any, int, int]] = [
    (moment("micros"), 1, 0),
    (["null", moment("micros")], 1, 0),
    (["null", moment("millis")], 1_000, 0),
    (moment("micros", "local-"), 1, HOUR_US),
]


@pytest.mark.parametrize(("at", "divisor", "shift_us"), KINDS, ids=["micros", "or micros", "or millis", "local"])
def test_zone_is_of_local_times_alone(flow: Flow, at: Any, divisor: int, shift_us: int) -> None:
    """Berlin is an hour ahead of UTC in January."""
    records = [{**trip, "at": trip["at"] // divisor} for trip in trips(4)]
    flow.feed(container(records, schema_of(at)))
    out = ("--out", str(flow.root / "set"))
    outcome = flow.run(flow.spec("avro", time_zone="Europe/Berlin"), *out, verb=write_features)
    assert outcome.code == 0, outcome.err
    [path] = Path(flow.root / "set").glob("*.parquet")
    times = [row["event_time"].timestamp() * 1e6 for row in pq.read_table(path).to_pylist()]
    assert min(times) == START_US - shift_us
