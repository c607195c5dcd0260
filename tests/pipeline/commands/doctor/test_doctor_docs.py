"""docs/doctor.md says what the doctor says."""

import re
from pathlib import Path

import pytest

from pipeline.preflight.checks import RUNNERS
from tests.pipeline.commands.commands import halflife

ROOT = Path(__file__).resolve().parents[4]
SOURCES = (*ROOT.glob("pipeline/preflight/*.py"), *ROOT.glob("runners/**/*preflight.py"),
           ROOT / "runners/flink/workers.py", ROOT / "runners/dataflow/sizes.py")  # fmt: skip
# The first argument of what makes a finding, or the constant that stands for it.
CHECK = re.compile(r"\b(?:ok|warn|fail|unchecked|memory|_named)\(\s*\"([^\"]+)\"|\bcheck(?:, \w+)? = \"([^\"]+)\"")


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")


def test_every_check_is_documented(page: str) -> None:
    found = {name for path in SOURCES for pair in CHECK.findall(path.read_text()) for name in pair if name}
    assert len(found) > 25
    assert sorted(name for name in found if f"`{name}`" not in page) == []


def test_every_runner_and_verdict_is_documented(page: str) -> None:
    assert [name for name in RUNNERS if f"`{name.removesuffix('Runner').lower()}`" not in page] == []
    assert [verdict for verdict in ("ok", "warn", "fail", "not checked") if f"| `{verdict}` |" not in page] == []


def test_every_option_of_the_doctor_is_documented(page: str) -> None:
    ran = halflife("doctor", "--help")
    of_every_verb = {"--help", "--verbose", "--log", "--log_format"}
    options = set(re.findall(r"--[a-z_]{2,}", ran.out)) - of_every_verb
    assert (ran.code, len(options) > 5) == (0, True)
    assert sorted(option for option in options if f"{option}`" not in page) == []
