"""What a run says of drift at the edges: no profile, columns that are constant, null, new or gone, a single event."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest

from models.profiles import build_profile, serialise_profile
from pipeline.run import run
from tests.pipeline.jobs.flows import MANIFEST, SCHEMA, SECOND_US, START_US, Flow, container, read_avro, trip

HOUR_US = 3600 * SECOND_US
FIELDS = [*SCHEMA["fields"], {"name": "void", "type": ["null", "double"]}]
USUAL = {"distance": 7, "void": None}
OTHER = {"distance": 8, "void": 1.0, "delay": None}
PROFILED = ["delay", "distance", "gone", "score", "void"]


class Ran(NamedTuple):
    """The records of drift of all events, the summary, and what was printed."""

    records: list[dict[str, Any]]
    summary: dict[str, Any]
    said: str

    def of(self, hour: int, column: str) -> dict[str, tuple[Any, ...]]:
        """Value, number of rows and verdict by statistic."""
        chosen = [row for row in self.records if (row["window_start"].hour, row["column"]) == (hour, column)]
        return {row["statistic"]: (row["value"], row["n"], row["drifted"]) for row in chosen}


def profile(columns: Sequence[str]) -> bytes:
    rows = 2_000
    sample = {
        "delay": np.arange(rows) % 100 / 4,
        "distance": np.full(rows, 7),
        "void": pa.nulls(rows, pa.float64()),
        "gone": np.arange(rows) * 1.0,
        "score": np.arange(rows) % 100 / 100,
    }
    return serialise_profile(build_profile(pa.record_batch(sample), list(columns)))


def publish_profiled(flow: Flow, columns: Sequence[str]) -> None:
    """From the second hour on v2, after v1, which has no profile."""
    (flow.root / "payload" / "p.json").write_bytes(profile(columns))
    flow.store.publish(flow.root / "payload", {**MANIFEST, "version": "v2", "profile": "p.json"})
    flow.store.append_release(champion="v2", effective_from_us=START_US + HOUR_US, by="tests")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """An hour of v1, one of v2 as its sample, one with a single event, and one in which all columns are others."""
    flow = Flow(tmp_path_factory.mktemp("edges"), None)  # type: ignore[arg-type]  # nothing of it is captured
    flow.publish()
    publish_profiled(flow, PROFILED)
    usual = [trip(number, **USUAL, delay=number % 50 / 2) for number in (*range(120), 121)]
    flow.feed(container([*usual, *(trip(number, **OTHER) for number in range(180, 240))], {**SCHEMA, "fields": FIELDS}))
    spec = flow.spec("avro") | {"drift": {"window": "1h"}}
    spec["features"] = [*spec["features"], "void"]
    summary, printed = flow.root / "summary.json", flow.root / "printed"
    with printed.open("w") as stream, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", stream)
        assert run(["--job", str(flow.write_spec(spec)), "--summary", str(summary)]) == 0
    return Ran(read_avro(flow.root / "drift"), json.loads(summary.read_text()), printed.read_text())


def test_a_version_without_a_profile_is_not_measured_and_the_run_says_of_how_many_events(ran: Ran) -> None:
    assert {(row["version"], row["window_start"].hour) for row in ran.records} == {("v2", hour) for hour in (1, 2, 3)}
    unmeasured = {"without_profile": 60, "profile_unavailable": 0, "too_late": 0}
    assert ran.summary["drift"] == {"rows": 121, "unmeasured": unmeasured, "records": len(ran.records)}
    assert [line.split() for line in ran.said.splitlines() if "no profile" in line] == [
        ["drift", "not", "measured:", "no", "profile", "60"]
    ]


def test_constant_and_all_null_columns_have_not_drifted_until_they_are_others(ran: Ran) -> None:
    assert ran.of(1, "distance") == {"psi": (0, 60, False), "ks": (0, 60, False)}
    assert ran.of(1, "void") == {"psi": (0, 60, False), "missing_rate": (1, 60, False)}
    assert {(name, found[2]) for name, found in ran.of(3, "distance").items()} == {
        ("psi", True), ("ks", True), ("out_of_range_rate", True)
    }  # fmt: skip
    assert ran.of(3, "void")["psi"][1:] == (60, True)
    assert ran.of(3, "void")["missing_rate"] == (0, 60, False)
    assert ran.of(3, "delay")["missing_rate"] == (1, 60, True)
    assert "ks" not in ran.of(3, "delay")


def test_new_and_vanished_columns_have_no_record(ran: Ran) -> None:
    assert {row["column"] for row in ran.records} == set(PROFILED) - {"gone"}


def test_one_event_in_a_window_is_measured_and_is_no_alarm(ran: Ran) -> None:
    assert ran.of(2, "delay").keys() >= {"psi", "ks"}
    single = [row for row in ran.records if row["window_start"].hour == 2]
    assert {(row["n"], row["n_effective"], row["drifted"]) for row in single} == {(1, 1, False)}
    assert all(row["noise_floor"] <= 1 for row in ran.records if row["statistic"] == "ks")


def test_ten_thousand_segments_are_served_and_none_is_an_alarm(flow: Flow) -> None:
    publish_profiled(flow, ["delay"])
    events = [trip(60 + number % 60, id=f"e{number}", **USUAL, carrier=f"c{number}") for number in range(10_050)]
    flow.feed(container(events, {**SCHEMA, "fields": FIELDS}, per_block=1_000))
    spec = flow.spec("avro") | {"drift": {"window": "1h", "segments": ["carrier"]}}
    spec["features"] = ["delay"]
    outcome = flow.run(spec)
    found = [row for row in read_avro(flow.root / "drift") if row["segment"] is not None]
    assert (outcome.code, outcome.summary["scored"]) == (0, 10_050)
    others = "carrier: others than the 10000 that are measured"
    assert sum(row["n"] for row in found if (row["column"], row["statistic"]) == ("delay", "psi")) == 10_050
    assert len({row["segment"] for row in found}) == 10_001
    assert {row["n"] for row in found if row["segment"] == others} == {50}
    assert {(row["reference"], row["p_value"], row["drifted"]) for row in found} == {("all rows", None, False)}
