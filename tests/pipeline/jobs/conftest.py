"""A job in a folder of its own, with a model that serves."""

from pathlib import Path

import pytest

from tests.pipeline.jobs.flows import Flow


@pytest.fixture
def flow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Flow:
    """A job whose store has one version, released for all times."""
    made = Flow(tmp_path, capsys)
    made.publish()
    return made
