"""The flights example on five days: what is trained on what, what is released and refused, and the demo's output."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import fastavro
import pyarrow.parquet as pq
import pytest

from examples.flights import demo
from examples.flights.plan import BROKEN, MODEL, SMALL_PLAN
from examples.flights.train import is_made, main, make_store
from examples.flights.training_set import NothingToLearn, arrivals, known_at, labelled, point_in_time_features
from examples.steps import reason
from models.admission.admission import Admission
from models.store.store import ModelStore
from schemas.times import format_time_us, parse_time_us


@pytest.fixture(scope="module")
def data(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flights") / "data"
    shutil.copytree(root / "tests" / "data" / "flights", folder)
    return folder


@pytest.fixture(scope="module")
def store(data: Path) -> Path:
    folder = data / "models"
    make_store(data, folder, SMALL_PLAN)
    return folder


def test_three_versions_are_admitted_and_the_broken_one_is_refused(store: Path) -> None:
    admission = Admission(ModelStore(str(store), MODEL))
    verdicts = {version: admission.check_version(version) for version in ("1", "2", "3", BROKEN)}
    assert {version: verdict.reason for version, verdict in verdicts.items()} == {
        "1": None,
        "2": None,
        "3": None,
        BROKEN: "golden_mismatch",
    }


def test_releases_are_as_planned(store: Path) -> None:
    found = ModelStore(str(store), MODEL).releases()
    assert [(format_time_us(one.effective_from_us), one.champion, one.shadows) for one in found] == [
        (planned.effective_from, planned.champion, planned.shadows) for planned in SMALL_PLAN.releases
    ]
    assert [one.challengers[0].share for one in found if one.challengers] == [0.1]


def test_manifests_say_what_was_learned_from_what(data: Path, store: Path) -> None:
    manifest = ModelStore(str(store), MODEL).read_manifest("2")
    files = json.loads((data / "flights.json").read_text())["files"]
    assert {entry["uri"]: entry["sha256"] for entry in manifest.training["data"]} == {
        name: entry["sha256"] for name, entry in files.items()
    }
    assert parse_time_us(manifest.training["parameters"]["to"]) < parse_time_us(SMALL_PLAN.trainings[1].until)
    assert set(manifest.quality["by_segment"]["origin"]) == {"EWR", "JFK", "LGA"}


def test_only_flights_that_had_landed_are_learned_from(data: Path) -> None:
    rows = labelled(point_in_time_features(data), arrivals(data))
    moment = "2013-01-02T12:00:00Z"
    with (data / "arrivals-2013-01.avro").open("rb") as stream:
        records: list[Any] = list(fastavro.reader(stream))
        landed = {one["id"]: one["landed_at"].timestamp() * 1e6 for one in records}
    expected = {event_id for event_id, landed_us in landed.items() if landed_us < parse_time_us(moment)}
    assert set(known_at(rows, moment)["event_id"].to_pylist()) == expected
    assert rows.num_rows == len(landed)


def test_nothing_had_landed_before_the_first_flight(data: Path) -> None:
    rows = labelled(point_in_time_features(data), arrivals(data))
    with pytest.raises(NothingToLearn, match="0 flights had landed by 2013-01-01T00:00:00Z"):
        known_at(rows, "2013-01-01T00:00:00Z")


def test_a_store_made_from_this_data_is_left_as_it_is(
    data: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.stat().st_mtime_ns for path in store.rglob("*"))
    assert is_made(data, store)
    assert main(["--small", "--data", str(data), "--store", str(store)]) == 0
    assert "left as it is" in capsys.readouterr().out
    assert sorted(path.stat().st_mtime_ns for path in store.rglob("*")) == before


def test_a_bundle_names_the_flights_it_was_fitted_on(data: Path, store: Path, tmp_path: Path) -> None:
    opened = ModelStore(str(store), MODEL)
    manifest = opened.read_manifest("2")
    opened.fetch("2", tmp_path / "bundle")
    records = pq.read_table(tmp_path / "bundle" / manifest.training["records"])
    assert records.num_rows == manifest.training["parameters"]["rows"]
    rows = known_at(labelled(point_in_time_features(data), arrivals(data)), SMALL_PLAN.trainings[1].until)
    assert records["event_id"].to_pylist() == rows["event_id"].to_pylist()[: records.num_rows]
    assert {"N14228", None} & set(records["subject"].to_pylist())


def test_a_training_that_fails_leaves_the_store_as_it_was(data: Path, store: Path) -> None:
    too_early = replace(SMALL_PLAN.trainings[2], until="2013-01-01T00:00:00Z")
    broken_plan = replace(SMALL_PLAN, trainings=(*SMALL_PLAN.trainings[:2], too_early))
    before = ModelStore(str(store), MODEL).releases()
    with pytest.raises(NothingToLearn):
        make_store(data, store, broken_plan)
    assert is_made(data, store)
    assert ModelStore(str(store), MODEL).releases() == before


def test_a_store_of_other_data_is_moved_aside(data: Path, tmp_path: Path) -> None:
    store = tmp_path / "models"
    (store / "mine").mkdir(parents=True)
    assert not is_made(data, store)
    make_store(data, store, replace(SMALL_PLAN, trainings=SMALL_PLAN.trainings[:1], releases=SMALL_PLAN.releases[:1]))
    assert is_made(data, store)
    assert [path.name for path in tmp_path.glob("models-before-*/*")] == ["mine"]


def test_a_failed_step_shows_its_reason_without_logs_of_libraries() -> None:
    stderr = "I0000 cudart_stub.cc:31] no drivers\nhalflife: no file matches x-*.avro\nW0000 bye\n"
    assert reason(stderr) == "no file matches x-*.avro"
    assert reason("Traceback\n  File\nValueError: 3\n") == "ValueError: 3"


def test_training_without_data_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path), "--store", str(tmp_path / "models")]) == 1
    assert "holds no flights.json" in capsys.readouterr().err


def test_the_demo_tells_what_happened(
    root: Path, data: Path, store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    assert demo.main(demo.Paths(data, store, data.parent / "out", small=True)) == 0
    said = capsys.readouterr().out
    summary = json.loads((data.parent / "out" / "summary.json").read_text())
    assert summary["scored"] == summary["decoded"] == 4301
    assert set(summary["releases"]) == {"1", "2", "3", "4", "6", "7"}
    assert "release 5 changed nothing: version 3-broken is refused, golden_mismatch: golden.jsonl line" in said
    for words in (
        "4,332",
        "refused: golden_mismatch",
        "2 answers 10%",
        "scores earlier flights too",
        "halflife models timeline",
        "dest_delay",
    ):
        assert words in said


def test_a_failing_step_of_the_demo_is_one_line(
    root: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    (tmp_path / "file").write_text("")
    assert demo.main(demo.Paths(data, tmp_path / "file" / "models", tmp_path / "out", small=True)) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: python -m examples.flights.train")
    assert len(said.splitlines()) == 1
