"""Event columns with names that mean something elsewhere: `score`, `subject`, names with quotes."""

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.profiles import build_profile, serialise_profile
from pipeline.training_set import write_features
from tests.pipeline.jobs.flows import MANIFEST, Flow, json_lines, read_avro, trip, trips


@pytest.mark.parametrize("name", ["score", 'a"b', "it's", "back\\slash", "a`b", 'a": "b', "{x}"])
def test_segment_has_the_values_of_its_column(flow: Flow, name: str) -> None:
    publish_with_profile(flow)
    flow.feed(json_lines(trip(number, **{name: f"S{number % 2}"}) for number in range(8)))
    spec = {**flow.spec(), "drift": {"segments": [name]}}
    assert flow.run(spec).code == 0
    segments = {drift["segment"] for drift in read_avro(flow.root / "drift")}
    assert segments == {None, f"{name}=S0", f"{name}=S1"}


def publish_with_profile(flow: Flow) -> None:
    """A version with a reference profile of its input and its scores."""


    payload = flow.root / "profiled"
    payload.mkdir()
    table = pa.table({"delay": [float(n) for n in range(50)], "score": [n / 50 for n in range(50)]})
    (payload / "profile.json").write_bytes(serialise_profile(build_profile(table, ["delay", "score"])))
    flow.store.publish(payload, {**MANIFEST, "version": "v2", "profile": "profile.json"})
    flow.store.append_release(champion="v2", effective_from_us=0, by="tests")


@pytest.mark.parametrize("name", ['a"b', "it's", "back\\slash", "score"])
@pytest.mark.parametrize("use", ["feature", "key", "id"])
def test_column_of_any_name_is_read(flow: Flow, name: str, use: str) -> None:
    values = [f"e{number}" if use == "id" else f"S{number % 2}" for number in range(4)]
    flow.feed(json_lines(trip(number, **{name: value}) for number, value in enumerate(values)))
    spec = flow.spec(**({"event_id": name} if use == "id" else {}))
    if use == "feature":
        spec["features"].append(name)
    if use == "key":
        spec["features"].append({"name": "w", "key": name, "aggregate": "count", "size": "1h", "every": "1m"})
    outcome = flow.run(spec)
    assert (outcome.code, outcome.summary["scored"]) == (0, 4), outcome


@pytest.mark.parametrize("names", [["subject"], ["event_id"], ["event_time", "subject", "event_id"]], ids=str)
def test_training_set_keeps_a_feature_named_as_an_identity_column(flow: Flow, names: list[str]) -> None:
    flow.feed(json_lines({**each, **dict.fromkeys(names, "win money"), "user": "u1"} for each in trips(2)))
    spec = {**flow.spec(subject="user"), "features": ["delay", *names]}
    out = flow.root / "training"
    assert flow.run(spec, "--out", str(out), verb=write_features).code == 0
    (file,) = out.glob("*.parquet")
    table = pq.read_table(file)
    identity: Any = {"event_id": ["t0", "t1"], "subject": ["u1", "u1"]}
    for name in ("event_id", "subject"):
        assert table.column(f"__{name}" if name in names else name).to_pylist() == identity[name]
    assert [table.column(name).to_pylist() for name in names] == [["win money"] * 2] * len(names)
    assert flow.run(spec).summary["scored"] == 2


def test_training_set_keeps_a_window_named_as_an_identity_column(flow: Flow) -> None:
    flow.feed(json_lines(trips(2)))
    spec = flow.spec()
    spec["features"][2]["name"] = "subject"
    outcome = flow.run(spec, "--out", str(flow.root / "training"), "--json", verb=write_features)
    assert json.loads(outcome.out)
    (file,) = (flow.root / "training").glob("*.parquet")
    assert pq.read_schema(file).names == ["event_id", "event_time", "__subject", "delay", "distance", "subject"]
