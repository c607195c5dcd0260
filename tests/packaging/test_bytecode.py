"""The modules that a job imports have bytecode, also where processes are told to write none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.test_make import checkout_in, make, stamp_of

NONE_WRITTEN = {"PYTHONDONTWRITEBYTECODE": "1"}


def python(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("target", ["lint", "typecheck", "demo"])
def test_make_writes_bytecode_where_the_environment_forbids_it(
    root: Path, tmp_path: Path, target: str
) -> None:
    checkout = checkout_in(tmp_path, root)
    (checkout / ".venv" / "bin").mkdir(parents=True)
    program = checkout / ".venv" / "bin" / "python"
    program.write_text('#!/bin/sh\necho "told: [$PYTHONDONTWRITEBYTECODE]"\n')
    program.chmod(0o755)
    (checkout / ".venv" / "stamp").write_text(stamp_of(checkout))
    done = make(checkout, target, **NONE_WRITTEN)
    assert done.stdout.splitlines()[-1] == "told: []"


def test_modules_that_are_named_and_what_they_load_are_compiled(tmp_path: Path) -> None:
    cache = {"PYTHONPYCACHEPREFIX": str(tmp_path)}
    done = python("-m", "pipeline.bytecode", "fastavro", "no_such_library", **NONE_WRITTEN, **cache)
    assert (done.returncode, done.stderr) == (0, "")
    written = {path.name.partition(".")[0] for path in tmp_path.rglob("*.pyc")}
    assert {"schema", "bytecode", "argparse", "_read_py"} <= written  # fastavro's, ours, and one loaded earlier


def test_a_later_process_compiles_nothing_that_was_compiled(tmp_path: Path) -> None:
    cache = {"PYTHONPYCACHEPREFIX": str(tmp_path)}
    python("-m", "pipeline.bytecode", "jsonschema", **NONE_WRITTEN, **cache)
    done = python("-v", "-c", "import jsonschema", **NONE_WRITTEN, **cache)
    read = [line for line in done.stderr.splitlines() if line.startswith("# code object from ")]
    assert read
    assert [line for line in read if line.endswith(".py'")] == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = {"PYTHONPYCACHEPREFIX": str(tmp_path / "file")}
    done = python("-m", "pipeline.bytecode", "fastavro", **NONE_WRITTEN, **cache)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert f"no bytecode can be written below {tmp_path / 'file'}" in done.stderr
    assert "PYTHONPYCACHEPREFIX=FOLDER" in done.stderr
