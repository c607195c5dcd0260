"""Clocks that differ, and releases that are therefore not in force when those who wrote them think so."""

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.commands.models import release
from schemas import times
from tests.pipeline.commands.commands import Models
from tests.pipeline.commands.releasing.test_store_hygiene import OLD, put

HOUR_US = 3_600_000_000
TRUE_CLOCK = times.now_us


def shifted(shift_us: int) -> Callable[[], int]:
    return lambda: TRUE_CLOCK() + shift_us


def test_clocks_that_agree_are_not_mentioned(models: Models) -> None:
    models("release", "--champion", "v1", "--from", OLD)
    models("release", "--champion", "v2", "--from", "2013-05-01T00:00:00Z")
    assert models.json("release", "--champion", "v3")["clocks"] == []
    assert models.json("rollback")["clocks"] == []


@pytest.mark.parametrize("key", ["at", "both"])
def test_release_of_a_machine_whose_clock_is_ahead_is_reported(models: Models, key: str) -> None:
    models("release", "--champion", "v1", "--from", OLD, "--by", "bob")
    ahead = times.format_time_us(TRUE_CLOCK() + HOUR_US)
    put(models, "00000002.json", at=ahead, **({"effective_from": ahead} if key == "both" else {}))
    ran = models("release", "--champion", "v2", "--json")
    said = f"release 2 by bob was written at {ahead}, 59m59s later than it is here: one of the two clocks is wrong; "
    assert [line.replace("1h later", "59m59s later") for line in ran.json["clocks"]] == [
        f"{said}release 3 serves from {ran.json['effective_from']} on"
    ]
    assert "one of the two clocks is wrong" in ran.err
    assert (ran.json["taken_over_by"] is None) == (key == "at")


@pytest.mark.parametrize("verb", ["release", "rollback"])
@pytest.mark.parametrize(("shift_us", "way"), [(HOUR_US, "ahead of"), (-HOUR_US, "behind"), (60_000_000, "ahead of")])
def test_machine_whose_clock_differs_from_the_stores_is_reported(
    models: Models, monkeypatch: pytest.MonkeyPatch, verb: str, shift_us: int, way: str
) -> None:
    models("release", "--champion", "v1", "--from", OLD)
    models("release", "--champion", "v2", "--from", "2013-05-01T00:00:00Z")
    monkeypatch.setattr(times, "now_us", shifted(shift_us))
    ran = models(verb, *(("--champion", "v3") if verb == "release" else ()))
    told = [line for line in ran.err.splitlines() if f" {way} the store's: release 3 is in force from " in line]
    assert (ran.code, len(told)) == (0, 1)
    assert (" by the store's clock in " in told[0]) == (shift_us > 0)


def test_release_begins_two_polls_after_its_versions_were_tried(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, tried = [TRUE_CLOCK()], release.checked_release

    def slowly(*arguments: Any) -> Any:
        clock[0] += 300_000_000
        return tried(*arguments)

    monkeypatch.setattr(times, "now_us", lambda: clock[0])
    monkeypatch.setattr(release, "checked_release", slowly)
    written = models("release", "--champion", "v1", "--json").json
    assert times.parse_instant_us(written["effective_from"]) == clock[0] + 20_000_000
    assert times.parse_instant_us(written["at"]) == clock[0]
