"""docs/models.md says what the commands say of themselves."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from models.admission.admission import REASONS
from pipeline.commands.models.verbs import _VERBS
from tests.pipeline.commands.commands import halflife

OPTION = re.compile(r"--[a-z_]{2,}")
EVERYWHERE = {"--help"}


@pytest.fixture(scope="module")
def page() -> str:
    return (Path(__file__).resolve().parents[4] / "docs" / "models.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("verb", _VERBS)
def test_every_option_of_a_verb_is_documented(page: str, verb: str) -> None:
    ran = halflife("models", verb, "--help")
    assert ran.code == 0
    options = set(OPTION.findall(ran.out)) - EVERYWHERE
    assert options
    assert sorted(option for option in options if f"{option}`" not in page and f"{option} " not in page) == []


def test_every_verb_and_every_reason_is_documented(page: str) -> None:
    assert [verb for verb in _VERBS if f"| `{verb}" not in page] == []
    reasons = re.findall(r"^\| `([a-z_]+)` \| (?:has|names|is|holds|reads|does|answers)", page, re.MULTILINE)
    assert reasons == list(REASONS)


def test_commands_on_the_store_do_not_import_beam() -> None:
    program = "import sys, pipeline.verbs; sys.exit('apache_beam' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
