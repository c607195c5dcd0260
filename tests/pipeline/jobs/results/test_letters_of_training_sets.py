"""The dead letters of `halflife features`: in the sink of the job each is told once, whoever reads the source again."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.training_set import write_features
from tests.pipeline.jobs.flows import Flow, json_lines, read_avro, trips

BROKEN = [b'{"trip_id": "b1", "delay": "much"}\n', b'{"trip_id": "b1", "delay": "much"}\n', b"{\n"]


def stages(flow: Flow) -> list[str]:
    return [row["stage"] for row in read_avro(flow.root / "dead_letters")]


def features(flow: Flow, *words: str) -> int:
    return write_features(["--job", str(flow.root / "job.yaml"), "--out", str(flow.root / "training"), *words])


@pytest.fixture
def half_broken(flow: Flow) -> Flow:
    flow.feed(b"".join([json_lines(trips(20)), *BROKEN]))
    assert flow.run(flow.spec()).code == 0
    return flow


def test_what_the_job_told_is_not_told_again_by_a_training_set(half_broken: Flow) -> None:
    told = stages(half_broken)
    assert len(told) == 3
    for _ in range(2):
        assert features(half_broken) == 0
        assert stages(half_broken) == told


def test_what_only_a_training_set_read_is_told(half_broken: Flow) -> None:
    half_broken.feed(b"".join([*BROKEN, b"[]\n"]), "in.more")
    assert features(half_broken) == 0
    assert len(stages(half_broken)) == 7
    assert features(half_broken) == 0
    assert len(stages(half_broken)) == 7


def test_letters_that_are_deleted_are_told_anew(half_broken: Flow) -> None:
    assert features(half_broken, "--sinks", "replace") == 0
    assert len(stages(half_broken)) == 3


def test_the_counts_of_a_training_set_hold_letters_that_stand_in_the_sink_already(
    half_broken: Flow, tmp_path: Path, capsys: Any
) -> None:
    capsys.readouterr()
    assert features(half_broken) == 0
    assert "20 rows of 23 records (3 dead letters)" in capsys.readouterr().out
