"""The job that the doctor examines."""

from pathlib import Path

import pytest

from tests.pipeline.commands.jobs import Patient


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    """A job in which nothing is wrong, except that its version has no profile."""
    found = Patient(tmp_path)
    found.feed()
    found.publish()
    return found
