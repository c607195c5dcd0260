"""Fixtures of the model tests: a store of each kind, and a payload."""

import uuid
from pathlib import Path

import pytest

from models.store.store import ModelStore


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
