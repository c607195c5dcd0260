"""docs/audit.md has every verb and option, its commands do what it says, and asking imports nothing slow."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.commands.audit.verbs import _VERBS
from tests.audit.world import FlightsAudit
from tests.docs.blocks import blocks_of
from tests.docs.pages import ROOT
from tests.pipeline.commands.commands import halflife

PAGE = ROOT / "docs" / "audit.md"
EVERYWHERE = {"--help", "--store", "--model", "--job", "--json", "--verbose", "--set", "--log_format"}
ASKED = """
import contextlib, io, json, sys
from pipeline.verbs import main
for words in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(words) == 0, words
print(*({name.split(".")[0] for name in sys.modules} & {"apache_beam", "sklearn", "tensorflow", "duckdb"}))
"""
WHOLE = """
import contextlib, io, json, sys
from pipeline.console import console
sys.argv = ["halflife", *json.loads(sys.argv[1])]
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    console()
assert "pandas" not in sys.modules, "pyarrow imports it with the first value"
import pandas, pyarrow
print(pyarrow.array([7]).to_pandas().sum(), pyarrow.array(pandas.Series([7.0, float("nan")])).null_count)
"""


@pytest.mark.parametrize("verb", _VERBS)
def test_every_option_of_a_verb_is_documented(verb: str) -> None:
    options = set(re.findall(r"--[a-z_]{2,}", halflife("audit", verb, "--help").out)) - EVERYWHERE
    page = PAGE.read_text("utf-8") + PAGE.with_name("audit-proof.md").read_text("utf-8")
    assert sorted(option for option in options if option not in page) == []
    assert f"audit {verb}" in page


def commands(flown: FlightsAudit) -> list[list[str]]:
    """The command lines of the page, for the run of these tests."""
    words = {"SCORE_ID": flown.receipts[0]["score_id"], "1": "v1"}
    lines = [line for block in blocks_of(PAGE) for line in block.text.splitlines() if "halflife audit" in line]
    return [[words.get(word, word) for word in shlex.split(line)[1:]] for line in lines]


def test_the_commands_of_the_page_succeed(flown: FlightsAudit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.yaml").symlink_to(flown.job)
    ran = [(words, halflife(*words)) for words in commands(flown)]
    assert len(ran) >= 3
    assert [(words, done.err) for words, done in ran if done.code != 0] == []


def test_asking_imports_nothing_slow(flown: FlightsAudit, tmp_path: Path) -> None:
    there = {"job.yaml": str(flown.job), "decision.html": str(tmp_path / "decision.html")}
    there["n14228"] = str(tmp_path / "held")
    asked = [[there.get(word, word) for word in words] for words in commands(flown) if words[1] != "sql"]
    command = [sys.executable, "-c", ASKED, json.dumps(asked)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr


@pytest.mark.parametrize("asked", [["subject", "N14228"], ["version", "v1"]])
def test_an_answer_that_needs_no_pandas_does_not_wait_for_it(flown: FlightsAudit, asked: list[str]) -> None:
    command = [sys.executable, "-c", WHOLE, json.dumps(["audit", *asked, "--job", str(flown.job), "--json"])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["7", "1"]), done.stderr
