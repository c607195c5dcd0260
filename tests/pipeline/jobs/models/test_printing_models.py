"""A model that prints: what is on standard output is ours alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from models.scorers.linear import LinearScorer
from pipeline.verbs import main
from tests.pipeline.jobs.flows import Flow, json_lines, trips


@pytest.fixture
def printing(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> Flow:
    """A job whose model prints when it scores."""
    plain = LinearScorer.score

    def score(self: LinearScorer, batch: object) -> object:
        print("chatter of a model")
        return plain(self, batch)

    monkeypatch.setattr(LinearScorer, "score", score)
    flow.feed(json_lines(trips(3)))
    return flow


def test_summary_as_json_is_the_only_document(printing: Flow) -> None:
    outcome = printing.run(printing.spec(), "--json")
    assert json.loads(outcome.out)["scored"] == 3
    assert "chatter of a model" in outcome.err


def test_scores_on_standard_output_are_alone_there(printing: Flow) -> None:
    outcome = printing.run(printing.spec(), "--set", "sinks.scores=stdout:")
    assert [json.loads(line)["event_id"] for line in outcome.out.splitlines()] == ["t0", "t1", "t2"]


def test_output_of_native_code_is_not_on_standard_output(tmp_path: Path, root: Path) -> None:
    program = (
        "import os, sys\nfrom pipeline.commands.output import exit_code\n"
        "from pipeline.reporting.printer import print_json\n"
        "def work():\n    os.write(1, b'native\\n'); print('python'); print_json({'a': 1})\n"
        "sys.exit(exit_code(work, False))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=60)
    assert (json.loads(done.stdout), done.returncode) == ({"a": 1}, 0)
    assert "native" in done.stderr


@pytest.mark.parametrize("name", ["none.csv", "none", "none/rows.parquet"])
def test_missing_sample_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    words = ["--store", str(tmp_path), "--model", "m", "--version", "v", "--scorer", "openinference"]
    assert main(["models", "publish", *words, "--sample", str(tmp_path / name)]) == 1
    assert f"--sample {tmp_path / name}: there is no such file or folder" in capsys.readouterr().err
