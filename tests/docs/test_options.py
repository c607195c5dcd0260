"""docs/running.md has every option that `--help` of the commands which run a job shows."""

import re

import pytest

from tests.docs.pages import ROOT
from tests.pipeline.commands.commands import halflife

OPTION = re.compile(r"--[a-z_]{2,}")


@pytest.mark.parametrize("verb", ["run", "features", "replay"])
def test_every_option_of_a_run_is_documented(verb: str) -> None:
    page = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    ran = halflife(verb, "--help")
    options = set(OPTION.findall(ran.out)) - {"--help"}
    assert (ran.code, len(options) > 8) == (0, True)
    assert sorted(option for option in options if f"| `{option}" not in page) == []


def test_help_says_what_the_verb_does() -> None:
    assert "Write a point-in-time training set; options not listed are Beam's." in halflife("features", "--help").out
    assert "Run a job; options not listed are Beam's." in halflife("run", "--help").out
