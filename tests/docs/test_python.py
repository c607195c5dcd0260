"""The page on Python: its blocks, run in order as one program, do what it says, and it names every public name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import halflife
from tests.docs.blocks import blocks_of
from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "python.md"


def test_blocks_are_a_program_that_prints_nothing(tmp_path: Path) -> None:
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    program = "\n".join(block.text for block in blocks_of(PAGE) if block.language == "python")
    assert program.count("assert ") >= 7
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.mark.parametrize("module", [halflife, halflife.errors])
def test_page_names_every_public_name(module: object) -> None:
    names = [name for name in dir(module) if f"`{name}" not in (page := PAGE.read_text()) and f".{name}" not in page]
    assert names == []
