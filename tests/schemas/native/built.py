"""The compiled module as these tests need it: built from its sources where it is not there yet."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from schemas.native import compiled


@pytest.fixture(scope="session")
def each(root: Path, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The compiled module."""
    if compiled.EACH is not None:
        return compiled.EACH
    out = tmp_path_factory.mktemp("native")
    folders = ["--build-lib", str(out), "--build-temp", str(out / "temporary")]
    command = [sys.executable, "setup.py", "-q", "build_ext", *folders]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    files = list(out.glob("**/_each*.so"))
    if not files:
        pytest.skip(f"nothing was compiled, so that only Python's way is in use here: {done.stderr[-200:]}")
    spec = importlib.util.spec_from_file_location("schemas.native._each", files[0])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def used(each: ModuleType, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The compiled module is in use; the test may take it away."""
    monkeypatch.setattr(compiled, "EACH", each)
    return monkeypatch
