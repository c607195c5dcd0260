"""Fixtures of the command tests."""

from pathlib import Path

import pytest

from tests.pipeline.commands.commands import Models


@pytest.fixture
def models(tmp_path: Path) -> Models:
    """The commands on a store with the versions v1, v2, v3."""
    found = Models(str(tmp_path / "store"))
    found.put(tmp_path / "empty", "v1", "v2", "v3")
    return found
