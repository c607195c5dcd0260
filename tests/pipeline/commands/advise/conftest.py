"""The job of these tests."""

from pathlib import Path

import pytest

from tests.pipeline.commands.advise.advising import AdvisedJob


@pytest.fixture
def job(tmp_path: Path) -> AdvisedJob:
    return AdvisedJob(tmp_path)
