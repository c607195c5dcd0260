"""`halflife replay --receipts`: receipts of five days of flights scored again, against a search by hand."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pytest

from models.store.store import ModelStore
from pipeline.verbs import main
from schemas.score_ids import score_id
from schemas.times import parse_time_us
from tests.pipeline.jobs.flows import read_avro

_CHANGE = "2013-01-03T12:00:00Z"
_NUMBERS = {"dep_delay": 0.05, "distance": -0.0005, "origin_delay_mean_1h": 0.02}
_CARRIERS = {"UA": 0.5, "B6": -0.25, "EV": 1.0}
_INTEGERS = ("sched_dep_hour", "origin_departures_1h")


def put(store: ModelStore, folder: Path, version: str, numbers: dict[str, float], carriers: bool, limit: float) -> None:
    """A linear version of these inputs; null counts as 0."""
    inputs: list[dict[str, Any]] = [
        {"name": name, "type": "integer" if name in _INTEGERS else "number", "nullable": True, "default": 0}
        for name in numbers
    ]
    categories = {"carrier": _CARRIERS} if carriers else {}
    store.publish(
        folder,
        {
            "version": version,
            "scorer": "linear",
            "inputs": [*inputs, *({"name": name, "type": "string"} for name in categories)],
            "output": {"kind": "probability", "threshold": limit, "positive": "late"},
            "linear": {"intercept": -1.0, "coefficients": numbers, "categories": categories},
            "training": {"trained_at": "2012-12-01T00:00:00Z"},
            "created_by": "tests",
        },
    )


def by_hand(features: dict[str, Any], numbers: dict[str, float], carriers: bool) -> float:
    total = -1.0 + sum(weight * (features[name] or 0.0) for name, weight in numbers.items())
    total += _CARRIERS.get(features["carrier"], 0.0) if carriers else 0.0
    return 1 / (1 + math.exp(-total))


@pytest.fixture(scope="module")
def world(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1 answers with all inputs; from `_CHANGE` on version 2 does without the carrier, and 1 is its shadow."""
    folder = tmp_path_factory.mktemp("receipts")
    (folder / "payload").mkdir()
    store = ModelStore(str(folder / "store"), "flight-delay")
    put(store, folder / "payload", "1", _NUMBERS, True, 0.5)
    put(store, folder / "payload", "2", _NUMBERS | {"dep_delay": 0.04}, False, 0.4)
    put(store, folder / "payload", "fewer", {"dep_delay": 0.06, "distance": 0.0}, False, 0.5)
    put(store, folder / "payload", "carriers", {"dep_delay": 0.06}, True, 0.5)
    put(store, folder / "payload", "more", {"dep_delay": 0.06, "origin_departures_1h": 0.1}, False, 0.5)
    store.append_release(champion="1", effective_from_us=0, by="tests")
    store.append_release(champion="2", shadows=("1",), effective_from_us=parse_time_us(_CHANGE), by="tests")
    data = f"{root}/tests/data/flights/departures-*.avro"
    assert main(["run", *settings(folder, folder / "audit"), "--set", f"events.uri={data}"]) == 0
    return folder


def settings(folder: Path, audit: Path) -> list[str]:
    """The embedded job; no file of its events is there."""
    values = {"events.uri": folder / "gone-*.avro", "model.store": folder / "store", "sinks.audit": audit}
    values |= {f"sinks.{name}": folder / name for name in ("scores", "drift", "dead_letters")}
    return [word for path, value in (values | {"drift.segments": "[carrier, origin]"}).items()
            for word in ("--set", f"{path}={value}")]  # fmt: skip


class Replayed:
    """A replay: its exit code, report, standard error, and the folder of its records."""

    def __init__(self, capsys: pytest.CaptureFixture[str], world: Path, out: Path, *words: str, audit: str = "audit"):
        capsys.readouterr()
        where = settings(world, world / audit if "/" not in audit else Path(audit))
        try:
            self.code = main(["replay", "--receipts", "--json", "--out", str(out), *where, *words])
        except SystemExit as usage:
            self.code = int(usage.code or 0)
        said = capsys.readouterr()
        self.err, self.out = said.err, out
        self.report: dict[str, Any] = json.loads(said.out) if said.out.startswith("{") else {}


def receipts_in(world: Path) -> list[dict[str, Any]]:
    return read_avro(world / "audit" / "receipts")


def test_receipts_scored_as_recorded_come_out_to_the_bit(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = Replayed(capsys, world, tmp_path / "again", "--as_recorded")
    assert done.code == 0, done.err
    told = list(done.report["versions"].values())
    recorded, again = receipts_in(world), read_avro(tmp_path / "again" / "audit" / "receipts")
    assert sum(each["equal"] for each in told) == sum(each["receipts"] for each in told) == len(recorded) > 6_000
    kept = ("score_id", "event_id", "version", "release", "score", "decision", "features", "definitions")
    assert sorted(str([each[name] for name in kept]) for each in again) == sorted(
        str([each[name] for name in kept]) for each in recorded
    )
    assert {each["role"] for each in again} == {"replay"}
    assert len(read_avro(tmp_path / "again" / "scores")) == len(recorded)


def test_a_candidate_differs_as_a_search_by_hand_finds(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = Replayed(capsys, world, tmp_path / "again", "--version", "fewer")
    assert done.code == 0, done.err
    answered = [each for each in receipts_in(world) if each["role"] == "champion"]
    scores = {each["event_id"]: by_hand(each["features"], {"dep_delay": 0.06}, False) for each in answered}
    found = {each["event_id"]: each for each in read_avro(tmp_path / "again" / "scores")}
    assert {event: each["score"] for event, each in found.items()} == pytest.approx(scores, rel=1e-12)
    flipped = [each for each in answered if each["decision"] != found[each["event_id"]]["decision"]]
    apart = [abs(each["score"] - found[each["event_id"]]["score"]) for each in answered]
    overall = done.report["comparison"]["overall"]
    assert (overall["both"], overall["flips"]) == (4301, len(flipped))
    assert [overall["difference"][f"p{q}"] for q in (50, 90, 99)] == [np.quantile(apart, q / 100) for q in (50, 90, 99)]
    assert sum(each["both"] for each in done.report["comparison"]["windows"]) == 4301
    segments = {each["value"]: each["flips"] for each in done.report["comparison"]["segments"]["carrier"]}
    by_carrier = [each["features"].get("carrier") for each in flipped]
    assert {name: number for name, number in segments.items() if number} == {
        name: by_carrier.count(name) for name in set(by_carrier) - {None}
    }
    assert done.report["comparison"]["segments"]["origin"] is None


def test_ids_of_a_candidate_are_made_of_the_role_on_the_receipt_and_of_what_its_features_meant(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Replayed(capsys, world, tmp_path / "again", "--version", "2", "--to", _CHANGE).code == 0
    [own, *_] = [each for each in receipts_in(world) if each["version"] == "2"]
    again = read_avro(tmp_path / "again" / "scores")
    wanted = {score_id(each["event_id"], own["digest"], "champion", own["definitions"]) for each in again}
    assert {each["score_id"] for each in again} == wanted
    assert {each["release"] for each in again} == {0}
    assert max(each["event_time"] for each in again).isoformat() < _CHANGE


def test_what_the_answer_did_not_read_is_taken_from_a_shadows_receipt(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = Replayed(capsys, world, tmp_path / "again", "--version", "carriers")
    assert (done.code, done.report["versions"]["carriers"]["overall"]["scored"]) == (0, 4301), done.err
    by_version = [each for each in receipts_in(world) if each["version"] == "1"]
    scores = {each["event_id"]: by_hand(each["features"], {"dep_delay": 0.06}, True) for each in by_version}
    found = {each["event_id"]: each["score"] for each in read_avro(tmp_path / "again" / "scores")}
    assert found == pytest.approx(scores, rel=1e-12)
    assert done.report["comparison"]["overall"]["both"] == 4301


WRONG = [
    (("--version", "more"), "which lack origin_departures_1h; next: without --receipts, halflife replay computes them"),
    (("--version", "22"), "--version: '22' is not allowed; expected: a version of flight-delay in"),
    (("--version", "1", "--from", "2014-01-01"), "expected: a time with receipts"),
    (("--version", "1", "--as_recorded"), "--version is not allowed beside --as_recorded"),
    (("--version", "1", "--runner=FlinkRunner"), "is not allowed beside --receipts; expected: no option of Beam's"),
]


@pytest.mark.parametrize(("words", "message"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_what_cannot_be_replayed_is_said_and_writes_nothing(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    done = Replayed(capsys, world, tmp_path / "again", *words)
    assert (done.code, message in done.err) == (2, True), done.err
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("words", [("--as_recorded",), ("--from", _CHANGE)], ids=" ".join)
def test_options_of_receipts_are_not_for_the_source(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["replay", "--out", "again", *(("--version", "1") if words[0] == "--from" else ()), *words])
    assert f"{words[0]} is not allowed alone; expected: --receipts beside it" in capsys.readouterr().err


@pytest.fixture
def altered(world: Path, tmp_path: Path) -> tuple[Path, list[dict[str, Any]]]:
    """The audit with ten late events, one receipt twice, and one whose score was changed."""
    audit = tmp_path / "altered"
    shutil.copytree(world / "audit" / "models", audit / "models")
    (audit / "receipts").mkdir()
    [file] = (world / "audit" / "receipts").iterdir()
    with file.open("rb") as stream:
        reader = fastavro.reader(stream)
        rows: list[dict[str, Any]] = list(reader)  # type: ignore[arg-type]  # our files hold records
        schema = reader.writer_schema
    for row in rows[:10]:
        row["late"] = True
    rows[20]["score"] += 0.25
    with (audit / "receipts" / file.name).open("wb") as stream:
        fastavro.writer(stream, schema, [*rows, rows[30]])
    return audit, rows


def test_late_events_are_told_apart_and_repeated_receipts_are_one(
    world: Path, altered: tuple[Path, list[dict[str, Any]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = Replayed(capsys, world, tmp_path / "again", "--version", "1", audit=str(altered[0]))
    assert done.code == 0, done.err
    comparison = done.report["comparison"]
    assert (comparison["overall"]["both"], comparison["late"]["both"], comparison["late"]["events"]) == (4291, 10, 10)
    assert (comparison["late"]["flips"], done.report["receipts"]["repeated"]) == (0, 1)


def test_a_changed_score_and_a_damaged_file_are_named(
    world: Path, altered: tuple[Path, list[dict[str, Any]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audit, rows = altered
    done = Replayed(capsys, world, tmp_path / "one", "--as_recorded", audit=str(audit))
    assert (done.code, done.report["beyond"]) == (1, [rows[20]["score_id"]])
    assert "not as recorded: 1 beyond; expected: the scores on the receipts" in done.err
    (audit / "receipts" / "receipts-x.avro").write_bytes(b"no container")
    done = Replayed(capsys, world, tmp_path / "two", "--version", "1", audit=str(audit))
    assert (done.code, list(done.report["broken_files"])) == (1, ["receipts/receipts-x.avro"])
    assert "receipts/receipts-x.avro: not an Avro container file" in done.err


def test_people_get_tables(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    words = ["--version", "1", "--version", "2", "--out", str(tmp_path / "again"), *settings(world, world / "audit")]
    assert main(["replay", "--receipts", *words]) == 0
    said = capsys.readouterr().out
    for word in ("2 minus 1", "receipts read", "carrier", "segment origin", "no receipt holds it"):
        assert word in said
