"""Fixtures of the model tests: a store of each kind, and one trained bundle of each scorer."""

import uuid
from pathlib import Path

import pytest

from models.store import ModelStore
from tests.unit.models.bundles import BUILDERS, with_golden, write_bundle


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ModelStore:
    """An empty store that does not exist yet."""
    url = str(tmp_path / "store") if request.param == "folder" else f"memory://{uuid.uuid4()}"
    return ModelStore(url, "late")


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    """A folder with two payload files."""
    folder = tmp_path / "payload"
    (folder / "deep").mkdir(parents=True)
    (folder / "notes.txt").write_bytes(b"notes")
    (folder / "deep" / "weights.bin").write_bytes(b"0123456789")
    return folder


@pytest.fixture(scope="session", params=list(BUILDERS))
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained bundle with golden records, one for each scorer and way of feeding it."""
    folder = tmp_path_factory.mktemp(request.param) / "bundle"
    write_bundle(folder, with_golden(folder, BUILDERS[request.param](folder)))
    return folder
