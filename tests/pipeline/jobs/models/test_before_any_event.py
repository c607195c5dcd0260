"""A version is published, checked and released by the spec of its job before any event of it has arrived."""

from pathlib import Path

import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from pipeline.commands.models.verbs import models
from tests.pipeline.jobs.flows import Flow, json_lines, trips

SAMPLE = pd.DataFrame({"delay": [1.0, 2.0, 3.0] * 10})
NOT_COMPARED = "no file matches file://{root}/in*, so inputs are not compared with the columns of the job"


@pytest.fixture
def waiting(flow: Flow) -> Flow:
    """A job whose input is a pattern that no file matches yet; what it has is moved away."""
    for path in flow.root.glob("in*"):
        path.unlink()
    SAMPLE.to_parquet(flow.root / "sample.parquet")
    model = LogisticRegression().fit(SAMPLE, SAMPLE.delay > 2)
    (flow.root / "m.skops").write_bytes(skops.io.dumps(model))
    flow.write_spec(flow.spec())
    return flow


def run(flow: Flow, *words: str) -> tuple[int, str]:
    flow.capsys.readouterr()
    code = models([*words, "--job", str(flow.root / "job.yaml")])
    return code, flow.capsys.readouterr().err


def test_all_verbs_say_what_was_not_compared_and_go_on(waiting: Flow) -> None:
    root = waiting.root
    said = NOT_COMPARED.format(root=root)
    publish = ["publish", str(root / "m.skops"), "--version", "v2", "--sample", str(root / "sample.parquet")]
    for words in (publish, ["check", "v2"], ["release", "--champion", "v2", "--from", "2024-01-01", "--reason", "new"]):
        code, err = run(waiting, *words)
        assert (code, said in err) == (0, True), err
    waiting.feed(json_lines(trips(5)))
    done = waiting.run(waiting.spec())
    assert (done.code, done.summary["scored"]) == (0, 5)


def test_what_needs_events_is_still_refused(waiting: Flow) -> None:
    code, err = run(waiting, "release", "--champion", "v1", "--from", "first-event", "--reason", "new")
    assert (code, "not released: no file matches" in err) == (1, True), err


def test_an_input_that_cannot_be_read_is_not_one_that_has_not_come(waiting: Flow, tmp_path: Path) -> None:
    (tmp_path / "in.json").write_bytes(b"\x00\x01\x02")
    code, err = run(waiting, "check", "v1")
    assert (code != 0, "not compared" in err) == (True, False), err
