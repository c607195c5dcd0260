"""The page on Python: its blocks, run in order as one program, do what it says, and it names every public name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import halflife
from models.store.store import ModelStore
from tests.docs.blocks import blocks_of
from tests.docs.pages import ROOT
from tests.models.bundle_folders import document

PAGE = ROOT / "docs" / "python.md"
LATENESS = {"coefficients": {"dep_delay": 0.05, "origin_delay_mean_1h": 0.02}, "means": {}, "scales": {}}
INPUTS = [{"name": name, "type": "number", "nullable": True, "default": 0.0} for name in LATENESS["coefficients"]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as the root of the checkout is after the tutorial: events, and a model that serves."""
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    (tmp_path / "payload").mkdir()
    store = ModelStore(str(tmp_path / "out" / "first" / "models"), "lateness")
    linear = {"intercept": -1.0, "categories": {}, **LATENESS}
    store.publish(tmp_path / "payload", document("linear", model="lateness", version="1", inputs=INPUTS, linear=linear))
    store.append_release(champion="1", effective_from_us=0, by="tests")
    return tmp_path


def test_blocks_are_a_program_that_prints_nothing(folder: Path) -> None:
    program = "\n".join(block.text for block in blocks_of(PAGE) if block.language == "python")
    assert program.count("assert ") >= 7
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.mark.parametrize("module", [halflife, halflife.errors])
def test_page_names_every_public_name(module: object) -> None:
    names = [name for name in dir(module) if f"`{name}" not in (page := PAGE.read_text()) and f".{name}" not in page]
    assert names == []
