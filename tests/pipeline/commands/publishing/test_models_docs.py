"""docs/models.md says what the commands say of themselves."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from models.admission.admission import REASONS
from pipeline.commands.audit.verbs import _VERBS as _VERBS_OF_AUDIT
from pipeline.commands.models.verbs import _VERBS
from pipeline.verbs import _VERBS as _OF_JOBS
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


# What a verb on the store, any --help, and most bad usage can do without: seconds of imports.
SLOW = ("apache_beam", "pandas", "sklearn", "skops", "tensorflow", "mlflow", "xgboost", "lightgbm", "onnxruntime")
LOADED = """
import contextlib, io, sys
from pipeline.verbs import main
for words in (line.split() for line in sys.argv[2:]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main(words)
print(*(name for name in sys.argv[1].split(",") if name in sys.modules))
"""


def test_verbs_on_the_store_import_no_slow_library(tmp_path: Path) -> None:
    (tmp_path / "models" / "m" / "versions").mkdir(parents=True)
    location = f"--store {tmp_path / 'models'} --model m"
    lines = ["--help", *(f"{verb} --help" for verb in _OF_JOBS), *(f"models {verb} --help" for verb in _VERBS)]
    lines += [f"audit {verb} --help" for verb in _VERBS_OF_AUDIT]
    lines += ["run --sinks wrong", "replay", "doctor --runner no"]
    lines += [f"models {verb} {location}" for verb in ("list", "timeline", "access", "show 1", "withdraw 1")]
    command = [sys.executable, "-c", LOADED, ",".join(SLOW), *lines]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_help_imports_no_verb() -> None:
    command = [sys.executable, "-c", LOADED, "pyarrow,pipeline.commands.models.listing", "--help", "models --help"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == []
