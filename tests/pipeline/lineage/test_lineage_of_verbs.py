"""Training sets and replays tell their lineage as runs do, by names of their own."""

import json
from pathlib import Path

from pipeline.replaying.replay import replay
from pipeline.training_set import write_features
from tests.pipeline.lineage.catalogues import Job, catalogue, model_facets, names


def test_a_training_set_tells_of_what_it_was_made(job: Job, tmp_path: Path) -> None:
    with catalogue() as (url, taken):
        answer = job.run(url, "--out", str(tmp_path / "rows"), verb=write_features)
        assert (answer.code, "lineage" in answer.err) == (0, False), answer.err
        start, end = (taken.get(timeout=10)[2] for _ in range(2))
    assert [start["eventType"], end["eventType"]] == ["START", "COMPLETE"]
    assert end["job"]["name"] == "trips.features"
    assert end["job"]["facets"]["jobType"]["processingType"] == "BATCH"
    assert names(end["inputs"]) == {f"file {job.root}/in*": "events"}
    assert names(end["outputs"]) == {f"file {tmp_path}/rows": "training_set"}


def test_a_replay_tells_its_versions_which_no_release_names(job: Job, tmp_path: Path) -> None:
    told = tmp_path / "events.jsonl"
    words = ("--version", "v1", "--version", "v2", "--out", str(tmp_path / "again"))
    answer = job.run(str(told), *words, verb=replay)
    assert (answer.code, "lineage" in answer.err) == (0, False), answer.err
    start, end = (json.loads(line) for line in told.read_text().splitlines())
    assert (start["eventType"], end["eventType"], end["job"]["name"]) == ("START", "COMPLETE", "trips.replay")
    found = {name: (each["role"], each["release"], each["scores"]) for name, each in model_facets(end).items()}
    assert list(found.values()) == [("replay", 0, 20)] * 2
    outputs = names(end["outputs"])
    assert outputs[f"file {tmp_path}/again/scores"] == "scores"
    assert str(job.root / "scores") not in str(outputs)


def test_verbs_do_not_wait_for_a_catalogue_and_tell_what_failed(job: Job, tmp_path: Path) -> None:
    answer = job.run("http://127.0.0.1:9", "--out", str(tmp_path / "rows"), verb=write_features)
    assert (answer.code, "2 of 2 events of lineage were not sent" in answer.err) == (0, True), answer.err
    told, broken = tmp_path / "events.jsonl", tmp_path / "broken.json"
    broken.write_bytes((job.root / "in.json").read_bytes() + b"{")
    read = {"uri": str(broken), "format": "json", "event_id": "id", "event_time": "at"}
    words = ("--out", str(tmp_path / "other"), "--max_dead_letters", "0")
    assert job.run(str(told), *words, verb=write_features, events=read).code == 1
    start, end = (json.loads(line) for line in told.read_text().splitlines())
    assert (start["eventType"], end["eventType"]) == ("START", "FAIL")
