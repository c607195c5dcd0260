"""README's own job, its model and the life of that model, typed in order as written, on five days of its flights."""

import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.store.store import ModelStore
from schemas.times import now_us
from tests.docs.blocks import blocks_of
from tests.docs.pages import ROOT
from tests.pipeline.commands.commands import Ran, halflife

PAGE = ROOT / "README.md"
HALFLIFE, PYTHON, VERB = ".venv/bin/halflife ", ".venv/bin/python ", "H "


def _block(begins: str) -> list[str]:
    """The lines of the block that begins like this, their remarks left out."""
    lines = next(block.text for block in blocks_of(PAGE) if block.text.startswith(begins)).splitlines()
    return [line for line in lines if line]


def _until_in_force() -> None:
    """Waits until the last release has taken effect, as a reader of README would."""
    [latest] = ModelStore(str(Path("data/models").absolute()), "lateness").releases()[-1:]
    while now_us() <= latest.effective_from_us:
        threading.Event().wait((latest.effective_from_us - now_us()) / 1e6 + 0.01)


def _typed(line: str) -> Ran:
    words = shlex.split(line, comments=True)
    if words[1:2] == ["rollback"]:
        _until_in_force()
    if line.startswith(VERB):
        return halflife("models", *words[1:])
    if line.startswith(HALFLIFE):
        return halflife(*words[1:])
    ran = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, check=False)
    return Ran(ran.returncode, ran.stdout, ran.stderr)


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Ran]]:
    """What each command did, by its line; the first run stands before there is a model."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "data").mkdir()
    for each in (ROOT / "tests" / "data" / "flights").glob("departures-*.avro"):
        (folder / "data" / each.name).symlink_to(each)
    (folder / "job.yaml").write_text("\n".join(_block("job: flights")))
    (folder / "train.py").write_text("\n".join(_block("import pandas")))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = {"before": halflife("run", "--job", "job.yaml")}
        for line in [*_block(".venv/bin/halflife features"), *_block("H publish")]:
            done[line] = _typed(line)
        yield done


def _said(walked: dict[str, Ran], begins: str) -> str:
    return next(" ".join(ran.out.split()) for line, ran in walked.items() if line.startswith(begins))


def test_job_without_a_model_is_reported(walked: dict[str, Ran]) -> None:
    ran = walked["before"]
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (2, "", 1)
    assert "next: halflife models publish" in ran.err


def test_every_command_does_its_work(walked: dict[str, Ran]) -> None:
    assert len(walked) == 14
    assert [(line, ran.code, ran.err) for line, ran in walked.items() if line != "before" and ran.code != 0] == []


def test_run_scores_every_event(walked: dict[str, Ran]) -> None:
    assert "events scored 4,301" in _said(walked, ".venv/bin/halflife run")


def test_rollback_goes_back_from_what_was_promoted(walked: dict[str, Ran]) -> None:
    said = _said(walked, "H rollback")
    assert "champion 1" in said


def test_timeline_holds_the_life_of_the_model(walked: dict[str, Ran]) -> None:
    said = _said(walked, "H timeline")
    at = [said.index(words) for words in ("worse on Mondays", "better in the", "canary", "watch it", "the first")]
    assert at == sorted(at) or at == sorted(at, reverse=True)
