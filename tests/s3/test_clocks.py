"""Clocks that differ from the store's: in a local folder, and on a real S3 server, which keeps whole seconds."""

import pytest

from schemas import times
from tests.pipeline.commands.commands import Models

HOUR_US = 3_600_000_000
FIRST, SECOND = ("--from", "2013-03-01T00:00:00Z"), ("--from", "2013-05-01T00:00:00Z")
TRUE_CLOCK = times.now_us


@pytest.fixture
def served(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Models:
    """A store with three versions, of which two were released long ago."""
    models.put(tmp_path_factory.mktemp("payload"), "v1", "v2", "v3")
    for version, since in (("v1", FIRST), ("v2", SECOND)):
        assert models("release", "--champion", version, *since).code == 0
    return models


def test_clock_that_agrees_with_the_stores_is_not_mentioned(served: Models) -> None:
    for _ in range(4):  # at any fraction of a second
        assert served.json("release", "--champion", "v3")["clocks"] == []
    assert served.json("rollback")["clocks"] == []


@pytest.mark.parametrize("words", [("release", "--champion", "v3"), ("rollback",)])
@pytest.mark.parametrize(("shift_us", "way"), [(HOUR_US, "ahead of"), (-HOUR_US, "behind"), (60_000_000, "ahead of")])
def test_clock_that_differs_from_the_stores_is_reported(
    served: Models, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], shift_us: int, way: str
) -> None:
    monkeypatch.setattr(times, "now_us", lambda: TRUE_CLOCK() + shift_us)
    ran = served(*words)
    told = [line for line in ran.err.splitlines() if f" {way} the store's: release 3 is in force from " in line]
    assert (ran.code, len(told)) == (0, 1), ran
    assert (" by the store's clock in " in told[0]) == (shift_us > 0)
