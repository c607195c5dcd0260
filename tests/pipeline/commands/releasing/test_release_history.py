"""A release for data of the past: from the first event on, from a day on, and what is said where it comes too late."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from schemas import times
from tests.pipeline.commands.commands import Models, Ran, halflife

JOB = """
job: flights
events: {{uri: "{input}", format: json, event_id: id, event_time: t, columns: {{delay: number, carrier: string}}}}
features: [delay]
model: {{name: late, store: {store}}}
"""
FIRST, LAST = "2013-01-05T06:00:00.250000Z", "2013-02-01T00:00:00Z"


def event(number: int, at: Any, **more: Any) -> str:
    return json.dumps({"id": f"e{number}", "t": at, "delay": 1.5, "carrier": "AA", **more}) + "\n"


@pytest.fixture
def job(models: Models, tmp_path: Path) -> Path:
    """Two files out of order, one of them compressed; a letter is earlier than every event."""
    broken = event(9, "2012-01-01T00:00:00Z", delay="a lot")
    (tmp_path / "a.json").write_text(event(1, LAST) + event(2, "2013-01-20T00:00:00Z"))
    (tmp_path / "b.json.gz").write_bytes(gzip.compress((broken + event(3, FIRST)).encode()))
    (tmp_path / "job.yaml").write_text(JOB.format(input=tmp_path / "*.json*", store=models.url))
    return tmp_path / "job.yaml"


def release(job: Path, *words: object) -> Ran:
    return halflife("models", "release", "--champion", "v1", "--no_check", "--job", job, *words)


def test_first_event_is_the_earliest_event_of_all_files(job: Path, models: Models) -> None:
    ran = release(job, "--from", "first-event", "--json")
    assert (ran.code, ran.json["effective_from"]) == (0, FIRST)
    assert models.store.releases()[0].effective_from_us == times.parse_instant_us(FIRST)


def test_release_from_a_day_begins_at_its_midnight_in_utc(models: Models) -> None:
    written = models("release", "--champion", "v1", "--from", "2013-03-01", "--json")
    assert written.json["effective_from"] == "2013-03-01T00:00:00Z"
    for wrong in ("2013-02-30", "2013-3-1", "first"):
        ran = models("release", "--champion", "v1", "--from", wrong)
        assert (ran.code, ran.err.count("\n")) == (2, 1), ran
        assert f"'{wrong}' is not allowed; expected: " in ran.err


def test_rollback_takes_a_day_too(models: Models) -> None:
    for version in ("v1", "v2"):
        models("release", "--champion", version, "--from", "2013-01-01")
    assert models("rollback", "--from", "2013-03-01", "--json").json["effective_from"] == "2013-03-01T00:00:00Z"


def test_first_event_needs_a_job(models: Models) -> None:
    ran = models("release", "--champion", "v1", "--from", "first-event")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "--from: 'first-event' is not allowed; expected: it with --job FILE" in ran.err


def test_first_event_of_input_without_any_is_refused(job: Path, models: Models, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(event(1, None))
    ran = release(job, "--from", "first-event", "--set", f"events.uri={tmp_path}/c.json")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "not released: no readable event in 1 file(s)" in ran.err
    assert models.store.releases() == []


def test_release_says_when_all_events_of_the_job_lie_before_it(job: Path) -> None:
    first = release(job)
    assert (first.code, "lie before it" in first.err) == (0, False)  # the first release serves earlier events too
    late = release(job)
    assert (late.code, late.err.count("\n")) == (0, 1)
    assert "lie before it (the last is of 2013-02-01T00:00:00Z), so a run over them does not use it" in late.err
    assert "next: --from first-event" in late.err
    assert "lie before it" in release(job, "--json").json["events_before"]
    assert release(job, "--from", LAST, "--json").json["events_before"] == ""
