"""A second run into the same sinks: earlier files are reported, refused or replaced according to `--sinks`."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from examples.steps import call
from models.profiles import build_profile, serialise_profile
from pipeline.command_line.sink_policy import SinkPolicy
from pipeline.endpoints.files.earlier_runs import SinksInUse, check_earlier_runs, replacing
from pipeline.endpoints.outputs import SinkFolder
from pipeline.training_set import write_features
from tests.pipeline.jobs.flows import MANIFEST, Flow, container, json_lines, read_avro, said_nothing_of_python, trips

SINKS = ("scores", "drift", "dead_letters")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def scored(flow: Flow, format_name: str = "avro") -> int:
    if format_name == "avro":
        return len(read_avro(flow.root / "scores"))
    return sum(pq.read_metadata(path).num_rows for path in (flow.root / "scores").glob("*.parquet"))


def spec_of(flow: Flow, format_name: str = "avro", job: str = "trips") -> dict[str, Any]:
    spec = flow.spec()
    return {**spec, "job": job, "sinks": {**spec["sinks"], "format": format_name}}


@pytest.mark.parametrize(("format_name", "before"), [("avro", 1), ("parquet", 1), ("avro", 3)])
def test_a_second_run_appends_and_names_the_runs_that_it_found(flow: Flow, format_name: str, before: int) -> None:
    flow.feed(json_lines(trips(5)))
    earlier = [flow.run(spec_of(flow, format_name)) for _ in range(before)]
    assert earlier[0].err == ""
    outcome = flow.run(spec_of(flow, format_name))
    assert outcome.code == 0
    assert said_nothing_of_python(outcome)
    assert [run.summary["run"] for run in earlier if run.summary["run"] not in outcome.err] == []
    assert f"sinks hold {before} earlier run" in outcome.err
    assert "--sinks new" in outcome.err
    assert scored(flow, format_name) == 5 * (before + 1)


def test_the_demo_passes_on_what_its_run_found(flow: Flow) -> None:
    flow.feed(json_lines(trips(5)))
    first = flow.run(flow.spec()).summary["run"]
    call("pipeline", "--job", str(flow.write_spec(flow.spec())))
    assert f"halflife: the sinks hold 1 earlier run: {first}" in flow.capsys.readouterr().err


@pytest.mark.parametrize("left", ["scores", "audit", "dead_letters"])
def test_new_sinks_hold_no_earlier_run(flow: Flow, left: str) -> None:
    flow.feed(json_lines(trips(5)) + b"{\n")
    first = flow.run(spec_of(flow), "--sinks", "new")
    assert (first.code, first.err) == (0, "")
    for name in {*SINKS, "audit"} - {left}:
        shutil.rmtree(flow.root / name)
    outcome = flow.run(spec_of(flow), "--sinks=new")
    assert outcome.code == 1
    assert said_nothing_of_python(outcome)
    assert first.summary["run"] in outcome.err
    assert f"sinks.{left}: " in outcome.err
    assert scored(flow) == (5 if left == "scores" else 0)


def test_new_sinks_hold_no_records_of_others_either(flow: Flow) -> None:
    flow.feed(json_lines(trips(5)))
    (flow.root / "scores").mkdir()
    (flow.root / "scores" / "mine.avro").write_bytes(container(trips(2)))
    outcome = flow.run(spec_of(flow), "--sinks", "new")
    assert outcome.code == 1
    assert "mine.avro" in outcome.err
    assert names(flow.root / "scores") == {"mine.avro"}


@pytest.mark.parametrize("format_name", ["avro", "parquet"])
def test_replace_leaves_the_last_run_and_the_whole_audit(flow: Flow, format_name: str) -> None:
    flow.feed(json_lines(trips(5)) + b"{\n")
    runs = [flow.run(spec_of(flow, format_name), "--sinks", "replace").summary["run"] for _ in range(3)]
    assert scored(flow, format_name) == 5
    assert all(runs[-1] in name for sink in SINKS for name in names(flow.root / sink))
    assert len(flow.letters()) == 1
    receipts = read_avro(flow.root / "audit" / "receipts")
    assert {receipt["run"] for receipt in receipts} == set(runs)
    assert len(receipts) == 15


def test_replace_deletes_nothing_that_this_jobs_runs_did_not_write(flow: Flow) -> None:
    flow.feed(json_lines(trips(5)))
    other = flow.run(spec_of(flow, job="others")).summary["run"]
    first = flow.run(spec_of(flow)).summary["run"]
    scores = flow.root / "scores"
    [own] = [name for name in names(scores) if first in name]
    shutil.copy(scores / own, scores / "copied.avro")
    # A file with the name of a run's, but not its content.
    (scores / own.replace(first, "0" * 26)).write_bytes(container(trips(2)))
    (scores / own.replace(first, "1" * 26)).write_bytes(b"Obj\x01 and no more")
    kept = names(scores) - {own}
    outcome = flow.run(spec_of(flow), "--sinks", "replace")
    assert outcome.code == 0
    now = names(scores)
    assert kept <= now
    assert own not in now
    assert any(other in name for name in now)
    assert "4 files that no run of job trips wrote stay" in outcome.err


def test_a_run_that_fails_replaces_nothing(flow: Flow) -> None:
    flow.feed(json_lines(trips(5)))
    assert flow.run(spec_of(flow)).code == 0
    flow.feed(b"{\n", "in.1")
    before = names(flow.root / "scores")
    outcome = flow.run(spec_of(flow), "--sinks", "replace", "--max_dead_letters", "0")
    assert outcome.code == 1
    assert before < names(flow.root / "scores")
    assert "nothing was replaced" in outcome.err
    assert flow.run(spec_of(flow), "--sinks", "replace").code == 0
    assert scored(flow) == 5


@pytest.mark.parametrize("bounded", [True, False])
def test_earlier_files_of_a_stream_are_deleted_when_it_starts(flow: Flow, bounded: bool) -> None:
    flow.feed(json_lines(trips(5)))
    flow.run(spec_of(flow))
    scores = flow.root / "scores"
    folder = SinkFolder("sinks.scores", f"file://{scores}", ".avro", "Score")
    found = check_earlier_runs([folder], SinkPolicy.REPLACE, "trips")
    with replacing(found, bounded):
        assert bool(names(scores)) == bounded
    assert names(scores) == set()


@pytest.mark.parametrize(("first", "second"), [("avro", "parquet"), ("parquet", "avro")])
def test_a_folder_has_files_of_one_format(flow: Flow, first: str, second: str) -> None:
    flow.feed(json_lines(trips(5)))
    assert flow.run(spec_of(flow, first)).code == 0
    before = names(flow.root / "scores")
    outcome = flow.run(spec_of(flow, second))
    assert outcome.code == 2
    assert said_nothing_of_python(outcome)
    assert f"sinks.format: '{second}' is not allowed" in outcome.err
    assert f".{first}" in outcome.err
    assert ("avro is the default" in outcome.err) == (second == "avro")
    assert "--sinks replace" in outcome.err
    assert names(flow.root / "scores") == before
    assert flow.run(spec_of(flow, second), "--sinks", "replace").code == 0
    assert scored(flow, second) == 5
    assert scored(flow, first) == 0


@pytest.mark.parametrize(("sink", "name"), [("dead_letters", "x.parquet"), ("audit/receipts", "old.parquet")])
def test_files_of_others_in_another_format_are_refused(flow: Flow, sink: str, name: str) -> None:
    flow.feed(json_lines(trips(5)))
    (flow.root / sink).mkdir(parents=True)
    (flow.root / sink / name).write_bytes(b"PAR1")
    outcome = flow.run(spec_of(flow), "--sinks", "replace")
    assert outcome.code == 2
    assert name in outcome.err
    assert f"sinks.{sink.partition('/')[0]}: '" in outcome.err
    assert "--sinks replace" not in outcome.err
    assert not (flow.root / "scores").exists() or not names(flow.root / "scores")


@pytest.mark.parametrize("words", [(), ("--sinks", "replace")])
@pytest.mark.parametrize("whose", ["a stranger", "another job"])
def test_replace_is_not_advised_where_it_would_not_help(flow: Flow, whose: str, words: tuple[str, ...]) -> None:
    flow.feed(json_lines(trips(5)))
    (flow.root / "scores").mkdir()
    if whose == "another job":
        assert flow.run(spec_of(flow, "parquet", job="others")).code == 0
    else:
        (flow.root / "scores" / "mine.parquet").write_bytes(b"PAR1")
    outcome = flow.run(flow.spec(), *words)
    assert (outcome.code, said_nothing_of_python(outcome)) == (2, True)
    assert "sinks.format: 'avro' is not allowed; expected: parquet (avro is the default)" in outcome.err
    assert "sinks.scores" in outcome.err
    assert "--sinks replace" not in outcome.err


def blocked(flow: Flow, out: Path) -> None:
    out.write_bytes(b"")


def kept_by_another(flow: Flow, out: Path) -> None:
    out.mkdir()
    (out / "mine.avro").write_bytes(b"Obj")


@pytest.mark.parametrize(("spoil", "code"), [(blocked, 1), (kept_by_another, 2)])
def test_a_run_that_is_refused_is_not_reported_as_added(flow: Flow, spoil: Callable[..., None], code: int) -> None:
    flow.feed(json_lines(trips(5)) + b"{\n")
    assert flow.run(flow.spec()).code == 0
    spoil(flow, flow.root / "training")
    outcome = flow.run(flow.spec(), "--out", str(flow.root / "training"), verb=write_features)
    assert (outcome.code, said_nothing_of_python(outcome)) == (code, True)
    assert "--out: " in outcome.err
    assert "added" not in outcome.err


def test_a_run_that_is_refused_does_not_report_a_service_as_left_out(flow: Flow) -> None:
    flow.feed(json_lines(trips(5)))
    assert flow.run(flow.spec()).code == 0
    found = [SinkFolder(f"sinks.{name}", uri, ".avro", "Score") for name, uri in
             (("drift", "kafka://b:1/t"), ("scores", str(flow.root / "scores")))]  # fmt: skip
    with pytest.raises(SinksInUse):
        check_earlier_runs(found, SinkPolicy.NEW, "trips")
    assert flow.capsys.readouterr().err == ""


def test_two_sinks_of_two_formats_in_one_folder_are_refused(flow: Flow) -> None:
    flow.feed(json_lines(trips(5)))
    spec = spec_of(flow, "parquet")
    spec["sinks"]["dead_letters"] = spec["sinks"]["scores"] + "/"
    outcome = flow.run(spec)
    assert outcome.code == 2
    assert "sinks.dead_letters" in outcome.err


@pytest.mark.parametrize("text", ["keep", "", "New"])
def test_another_word_for_sinks_is_bad_usage(flow: Flow, text: str) -> None:
    outcome = flow.run(flow.spec(), f"--sinks={text}")
    assert outcome.code == 2
    assert "allowed: append, new, replace" in outcome.err


@pytest.mark.parametrize(("policy", "code", "rows"), [("append", 0, 10), ("new", 1, 5), ("replace", 0, 5)])
def test_a_second_training_set_does_as_a_second_run(flow: Flow, policy: str, code: int, rows: int) -> None:
    flow.feed(json_lines(trips(5)))
    out = flow.root / "training"
    assert flow.run(flow.spec(), "--out", str(out), verb=write_features).err == ""
    outcome = flow.run(flow.spec(), "--out", str(out), "--sinks", policy, verb=write_features)
    assert outcome.code == code
    assert sum(pq.read_metadata(path).num_rows for path in out.glob("*.parquet")) == rows
    assert ("--out: " in outcome.err) == (policy == "new")
    assert ("sinks hold 1 earlier run" in outcome.err) == (policy == "append")


@pytest.mark.parametrize("days", [[1], [400, 500], [36500]])
def test_a_release_later_than_every_event_is_reported(flow: Flow, days: list[int]) -> None:
    flow.feed(json_lines(trips(5)))
    for number, day in enumerate(days, 2):
        flow.publish(f"v{number}", from_us=1_356_998_400_000_000 + day * 86_400_000_000)
    outcome = flow.run(flow.spec())
    assert outcome.code == 0
    assert said_nothing_of_python(outcome)
    for number in range(2, len(days) + 2):
        assert f"release {number} takes effect at " in outcome.err
    assert "later than every event (the last is of 2013-01-01T00:04:00Z)" in outcome.err


def test_a_release_that_some_event_could_choose_is_not_called_late(flow: Flow) -> None:
    flow.feed(json_lines(trips(5)))
    flow.publish("v2", from_us=1_356_998_400_000_000)
    flow.publish("v3", from_us=1_356_998_400_000_000 + 240_000_000)  # the instant of the last event
    flow.publish("v4", from_us=-1_000_000)  # serves no event: v1 takes over before the first one
    outcome = flow.run(flow.spec())
    assert (outcome.code, outcome.err) == (0, "")


@pytest.mark.parametrize(
    ("days", "noted"), [([400, 0], []), ([400, 500, 0], []), ([400, 0, 500], [4]), ([400, -1], [2])]
)
def test_a_late_release_is_not_noted_where_one_written_after_it_scored_events(
    flow: Flow, days: list[int], noted: list[int]
) -> None:
    flow.feed(json_lines(trips(5)))
    for number, day in enumerate(days, 2):
        flow.publish(f"v{number}", from_us=1_356_998_400_000_000 + day * 86_400_000_000 if day >= 0 else -1)
    outcome = flow.run(flow.spec())
    assert outcome.code == 0
    assert re.findall(r"release (\d+) takes effect at ", outcome.err) == [str(number) for number in noted]
    assert ("; next: halflife models release --from first-event" in outcome.err) == bool(noted)


def test_the_only_release_serves_earlier_events_and_is_not_called_late(tmp_path: Path, flow: Flow) -> None:
    alone = Flow(tmp_path / "alone", flow.capsys)
    alone.root.mkdir()
    alone.publish(from_us=4_000_000_000_000_000)
    alone.feed(json_lines(trips(5)))
    outcome = alone.run(alone.spec())
    assert (outcome.code, outcome.err) == (0, "")


def test_drift_of_a_rerun_can_be_told_from_the_first(flow: Flow) -> None:
    flow.feed(json_lines(trips(40)))
    profile = build_profile(pa.record_batch({"delay": np.arange(50) / 2}), ["delay"])
    (flow.root / "payload" / "p.json").write_bytes(serialise_profile(profile))
    flow.store.publish(flow.root / "payload", {**MANIFEST, "version": "v2", "profile": "p.json"})
    flow.store.append_release(champion="v2", effective_from_us=0, by="tests")
    spec = {**flow.spec(), "drift": {"window": "10m"}}
    runs = [flow.run(spec).summary["run"] for _ in range(2)]
    rows = read_avro(flow.root / "drift")
    assert {row["run"] for row in rows} == set(runs)
    by_run = [
        sorted((row["window_start"], row["column"], row["statistic"]) for row in rows if row["run"] == run)
        for run in runs
    ]
    assert by_run[0] == by_run[1] != []
