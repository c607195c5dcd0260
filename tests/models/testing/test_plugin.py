"""A third party's kind: installed as people install it, proven by the kit, found and admitted by the commands."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from models.testing import CHECKS
from models.testing.subject import write_bundle
from tests.models.bundle_folders import NUMBERS, document

PLUGIN = "examples/plugin_scorer"
TABLES = {
    name: {"edges": [10], "points": [1, 2], "missing": 0} for name in ("delay", "distance", "weekend")
}


@pytest.fixture(scope="module")
def site(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example package installed in it; built from a copy, since building leaves files."""
    source, target = tmp_path_factory.mktemp("source") / "plugin", tmp_path_factory.mktemp("site")
    shutil.copytree(root / PLUGIN, source, ignore=shutil.ignore_patterns("__pycache__"))
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    done = run([*install, "--disable-pip-version-check", "--target", str(target), str(source)], root)
    assert done.returncode == 0, done.stderr
    return target


def run(command: list[str], cwd: Path, *paths: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(path) for path in paths)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def check(root: Path, bundle: Path, *paths: Path) -> dict[str, object]:
    """What `halflife models check` says of a bundle, in a process that has these folders on its path."""
    command = [sys.executable, "-m", "pipeline.cli", "models", "check", str(bundle), "--json"]
    done = run(command, root, *paths, root)
    assert done.stdout, done.stderr
    verdict: dict[str, object] = json.loads(done.stdout)
    return verdict


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "scorecard.json").write_text(json.dumps({"base": 600, "columns": TABLES}))
    inputs = [{**entry, "nullable": True} for entry in NUMBERS]
    write_bundle("scorecard", tmp_path, document("scorecard", inputs=inputs, output={"kind": "regression"}))
    return tmp_path


def test_plugin_passes_the_kit(root: Path, site: Path, tmp_path: Path) -> None:
    tests = shutil.copytree(root / PLUGIN / "tests", tmp_path / "tests")
    pytest_of_its_own = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", str(tests)]
    done = run(pytest_of_its_own, tmp_path, site, root)
    assert done.returncode == 0, done.stdout + done.stderr
    unproven = [each.__name__ for each in CHECKS if f"[scorecard:{each.__name__}] PASSED" not in done.stdout]
    assert unproven == []


def test_installed_plugin_is_admitted(root: Path, site: Path, bundle: Path) -> None:
    verdict = check(root, bundle, site)
    assert verdict == {**verdict, "admitted": True, "reason": None}


def test_without_the_plugin_its_kind_is_unknown(root: Path, bundle: Path) -> None:
    verdict = check(root, bundle)
    assert (verdict["admitted"], verdict["reason"]) == (False, "unknown_scorer")
    assert "'scorecard' is not installed; allowed: beam, lightgbm, linear" in str(verdict["detail"])
