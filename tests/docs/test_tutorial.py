"""The tutorial, typed as written, does what it says; and its output is read as the page of records says."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import blocks_of
from tests.docs.pages import ROOT
from tests.pipeline.commands.commands import Ran, halflife

PAGE = ROOT / "docs" / "tutorial.md"
TOOLS = ".venv/bin/"


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[tuple[str, Ran]]]]:
    """The folder in which all commands of the page were run, and what each did."""
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / "tests").symlink_to(ROOT / "tests")
    done: list[tuple[str, Ran]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in blocks_of(PAGE):
            if block.saved_as:
                (folder / block.saved_as).write_text(block.text)
            lines = [] if block.saved_as else block.text.splitlines()
            done += [(line, typed(line)) for line in lines if line.startswith(TOOLS)]
        yield folder, done


def typed(line: str) -> Ran:
    tool, *words = shlex.split(line.removeprefix(TOOLS))
    if tool == "halflife":
        return halflife(*words)
    ran = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def test_every_command_succeeds(walked: tuple[Path, list[tuple[str, Ran]]]) -> None:
    _, done = walked
    assert len(done) == 12
    assert [(line, ran.err) for line, ran in done if ran.code != 0] == []


def test_runs_score_what_the_page_says(walked: tuple[Path, list[tuple[str, Ran]]]) -> None:
    tables = [" ".join(ran.out.split()) for line, ran in walked[1] if " run " in line]
    assert "version 1, champion 4,301" in tables[0]
    assert "version 1, champion 1,771 version 2, champion 2,530" in tables[1]
    assert "`.venv/bin/halflife run --job job.yaml` says what is missing, and ends with exit code 2" in PAGE.read_text()


def test_before_there_is_a_model_the_run_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = next(block for block in blocks_of(PAGE) if block.saved_as == "job.yaml")
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    (tmp_path / "job.yaml").write_text(job.text)
    monkeypatch.chdir(tmp_path)
    ran = halflife("run", "--job", "job.yaml")
    assert (ran.code, "model" in ran.err, ran.out) == (2, True, "")


def test_who_answered_what_is_as_the_page_shows(walked: tuple[Path, list[tuple[str, Ran]]]) -> None:
    ran = subprocess.run([sys.executable, "look.py"], cwd=walked[0], capture_output=True, text=True, check=True)
    shown = blocks_of(PAGE)[-1].text
    assert [line.split() for line in shown.splitlines()] == [line.split() for line in ran.stdout.splitlines()][:5]


def test_files_are_read_with_pandas_as_the_page_of_records_says(walked: tuple[Path, list[tuple[str, Ran]]]) -> None:
    snippet = next(block.text for block in blocks_of(ROOT / "docs" / "records.md") if "import fastavro" in block.text)
    ours = re.sub(r'"out/(scores|audit)', r'"out/first/\1', snippet)
    program = f"{ours}\nprint(len(scores), list(inputs.columns), inputs.dep_delay.count())"
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=walked[0], capture_output=True, text=True, check=False
    )
    assert (ran.stdout.split(" ", 1)[0], ran.stderr) == ("4301", "")
    assert "['dep_delay', 'origin_delay_mean_1h'] 12903" in ran.stdout
