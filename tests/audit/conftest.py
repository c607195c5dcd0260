"""One run of a job for all tests of this folder."""

import pytest

from tests.audit.world import FlightsAudit, ran


@pytest.fixture(scope="session")
def flown(tmp_path_factory: pytest.TempPathFactory) -> FlightsAudit:
    """The audit of a run; tests that change files work on copies of it."""
    return ran(tmp_path_factory.mktemp("flown"))
