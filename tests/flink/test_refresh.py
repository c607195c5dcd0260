"""Models that change during a live stream: shadow, canary, champion, one that is refused, and back.

Everything is decided with `halflife models` while events flow; the receipts are then compared with who should have
answered each event, computed from the releases by the reference of the tests.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest

from examples.flights import service
from examples.flights.service import Event, records
from models.tables.table_store import TableStore
from runners.flink.local.broker import KafkaBroker
from schemas.times import format_time_us, now_us, parse_time_us
from tests.flink.running import TABLE, KeptRecords, Machines, Running, publish_table, running
from tests.flink.soak.stream import endless, flowing
from tests.flink.trained import late_departures
from tests.pipeline.commands.commands import Models, halflife
from tests.reference import reference
from tests.servers import needs

pytestmark = needs("java", "mvn", "go")

# Releases are made two polls ahead, with longer polls than the job's: the machine may be busy.
POLL, JOB_POLL = "6s", "2s"
PER_SECOND = 20.0
SECONDS = 240.0
SCHEDULED_US = 50_000_000  # ahead: long before it, the job refuses the release and a rollback begins
COLUMNS = ["dep_delay", "distance"]
LOOKUPS = f"lookups=[{{name: line, table: {{store: {TABLE}}}, on: carrier, columns: [rank]}}]"
Row = dict[str, Any]


class Story(NamedTuple):
    """What was sent and what came back; `refused` is the sequence of the release that may change nothing,
    `landed` that of the first with a version that no worker has loaded yet, `rolled` what the rollback said, `table`
    the release of a table that a version reads."""

    sent: list[Event]
    receipts: list[Row]
    told: list[Row]
    releases: list[Row]
    refused: int
    landed: int
    rolled: Row
    table: Row


def of_the_moment(flights: Iterable[Event]) -> Iterator[Event]:
    """The flights as if each departed when it is read."""
    for flight in flights:
        yield flight | {"departed_at": datetime.now(UTC)}


def publish_ranked(live: Running, folder: Path) -> None:
    """A version that reads the rank of the event's carrier, from a table."""
    entry = {"name": "line.rank", "type": "number", "nullable": True, "default": 0.0}
    linear = {"intercept": 0.0, "coefficients": {"line.rank": 1.0}}
    folder.mkdir()
    live.store.publish(folder, service.manifest("ranked") | {"inputs": [entry], "linear": linear})


def released_table(live: Running, receipts: KeptRecords, folder: Path) -> Row:
    """Another version of the table is released, and answers."""
    publish_table(TableStore(live.store.url, TABLE), "second", 2, folder)
    words = ("release", "--name", TABLE, "--version", "second", "--store", live.store.url, "--poll", POLL, "--json")
    ran = halflife("tables", *words)
    assert ran.code == 0, ran
    answers = {"line": "second"}
    live.wait_until(lambda: any(one["lookups"] == answers for one in receipts()), SECONDS, "answers of a new table")
    return dict(ran.json)


def sequence_of(models: Models, verb: str, *words: object) -> int:
    return int(models.json(verb, *words, "--poll", POLL)["sequence"])


def wait_for(live: Running, receipts: KeptRecords, version: str, role: str, release: int) -> None:
    def answered() -> bool:
        return any((one["version"], one["role"], one["release"]) == (version, role, release) for one in receipts())

    live.wait_until(answered, SECONDS, f"an event scored by {version} as {role} of release {release}")


@pytest.fixture(scope="module")
def story(machines: Machines, month: list[Event], tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The whole sequence of releases, on one job with workers of the pool."""
    folder, broker = tmp_path_factory.mktemp("refresh"), machines.broker
    late_departures(month[:2000], COLUMNS, folder / "trained").head(200).to_parquet(folder / "sample.parquet")
    model, sample = folder / "trained" / "model.skops", folder / "sample.parquet"
    now = [f"model.poll={JOB_POLL}", "events.max_out_of_orderness=1s", LOOKUPS, "drift.segments=[line.rank]"]
    with running(machines, of_the_moment(endless(month)), folder, now) as live:
        models, receipts = Models(live.store.url, service.MODEL), KeptRecords(broker, "audit.receipts")
        with flowing(live, PER_SECOND):
            models.json("publish", model, "--version", "trained", "--sample", sample, "--trained_at", "now")
            # A stream does not wait for a version to load: until every worker has it, some events have no score of the
            # shadow.
            publish_ranked(live, folder / "ranked")
            both = ("--shadow", "trained", "--shadow", "ranked")
            landed = sequence_of(models, "release", "--champion", "v1", *both)
            live.wait_until_loaded("trained")
            live.wait_until_loaded("ranked")
            dark = sequence_of(models, "release", "--champion", "v1", *both)
            wait_for(live, receipts, "trained", "shadow", dark)
            table = released_table(live, receipts, folder)
            canary = sequence_of(models, "release", "--champion", "v1", "--challenger", "trained=30%")
            wait_for(live, receipts, "trained", "challenger", canary)
            promoted = sequence_of(models, "release", "--champion", "trained")
            wait_for(live, receipts, "trained", "champion", promoted)
            service.publish_broken(live.store, "broken")
            later = ("--from", format_time_us(now_us() + SCHEDULED_US))
            refused = sequence_of(models, "release", "--champion", "broken", *later)
            live.wait_until(lambda: bool(service.told(broker, "refused", "broken")), SECONDS, "broken refused")
            rolled = models.json("rollback", "--to", 1, "--reason", "worse on Mondays", "--poll", POLL)
            for back in rolled["written"]:
                wait_for(live, receipts, "v1", "champion", back)
        live.wait_until_all_scored("five releases")
        releases = models.json("timeline")["releases"]
    told = records(broker, "audit.models")
    return Story(live.sent, receipts(), told, releases, refused, landed, rolled, table)


def serving_order(story: Story) -> list[int]:
    """The sequences of the releases in the order in which they serve."""
    ordered = sorted(story.releases, key=lambda one: (parse_time_us(one["effective_from"]), one["sequence"]))
    return [int(one["sequence"]) for one in ordered]


def expected(story: Story) -> pd.DataFrame:
    """Who must score each event, by the releases of its time."""
    in_force = [release for release in story.releases if release["sequence"] != story.refused]
    return reference.expected_scores(pd.DataFrame(story.sent), in_force)


def while_landing(story: Story) -> set[str]:
    """The events of the release with a version that is still proven and loaded."""
    return {str(row.event_id) for row in expected(story).itertuples() if row.release == story.landed}


def test_each_event_was_scored_by_the_release_of_its_time_and_by_nothing_else(story: Story) -> None:
    landing = while_landing(story)
    rows = [row for row in expected(story).itertuples() if row.event_id not in landing]
    wanted = {(row.event_id, row.release, row.version, row.role) for row in rows}
    receipts = [one for one in story.receipts if one["event_id"] not in landing]
    found = {(one["event_id"], one["release"], one["version"], one["role"]) for one in receipts}
    assert found == wanted
    assert {(version, role) for _, _, version, role in found} == {
        ("v1", "champion"), ("trained", "shadow"), ("ranked", "shadow"), ("trained", "challenger"),
        ("trained", "champion"),
    }  # fmt: skip


def test_events_during_the_load_of_a_version_were_answered_by_the_one_before(story: Story) -> None:
    landing = while_landing(story)
    answers = [one for one in story.receipts if one["event_id"] in landing and one["role"] != "shadow"]
    assert {one["event_id"] for one in answers} == landing
    assert {(one["version"], one["role"]) for one in answers} == {("v1", "champion")}
    assert {one["release"] for one in answers} <= {1, story.landed}


def test_every_worker_cut_over_at_the_released_times(story: Story) -> None:
    """The releases of each worker's receipts never go back in the order of event time."""
    landing, order = while_landing(story), serving_order(story)
    by_worker: dict[str, list[Row]] = {}
    for receipt in story.receipts:
        if receipt["event_id"] not in landing:
            by_worker.setdefault(receipt["worker"], []).append(receipt)
    assert len(by_worker) >= 2
    for own in by_worker.values():
        by_time = sorted(own, key=lambda one: parse_time_us(one["event_time"]))
        in_order = [order.index(one["release"]) for one in by_time]
        assert in_order == sorted(in_order)


def test_job_knew_each_release_before_its_time(story: Story) -> None:
    released = (one for one in story.told if (one["kind"], one["model"]) == ("released", service.MODEL))
    known_us = {one["release"]: parse_time_us(one["at"]) for one in released}
    ahead = {
        release["sequence"]: parse_time_us(release["effective_from"]) - known_us[release["sequence"]]
        for release in story.releases
        if release["sequence"] > story.landed and release["sequence"] != story.refused
    }
    assert len(ahead) == 3 + len(story.rolled["written"])
    assert min(ahead.values()) > 0, json.dumps(ahead)


def test_rollback_neutralised_what_was_scheduled_and_serves_to_the_end(story: Story) -> None:
    neutralised = story.rolled["neutralised"]
    assert [one["release"] for one in neutralised] == [story.refused]
    by = story.rolled["written"][-1]
    assert neutralised[0]["by"] == by == serving_order(story)[-1]
    last = max(story.receipts, key=lambda one: parse_time_us(one["event_time"]))
    assert (last["version"], last["role"], last["release"]) == ("v1", "champion", by)


def test_refused_version_has_its_reason_and_no_event_is_late_or_dead(story: Story, broker: KafkaBroker) -> None:
    (refusal,) = (one for one in story.told if one["kind"] == "refused")
    assert (refusal["version"], refusal["reason"]) == ("broken", "wrong_inputs")
    assert [one["event_id"] for one in story.receipts if one["late"]] == []
    assert records(broker, "dead") == []


def test_a_table_that_is_released_meanwhile_answers_from_its_time_on(story: Story) -> None:
    cut_us, landing = parse_time_us(story.table["effective_from"]), while_landing(story)
    ranked = [one for one in story.receipts if one["version"] == "ranked" and one["event_id"] not in landing]
    found = {(service.time_us(one) >= cut_us, one["lookups"]["line"], round(one["score"], 2)) for one in ranked}
    assert found == {(False, "first", 0.73), (True, "second", 0.88)}
    told = {(one["kind"], one["version"]) for one in story.told if one["model"] == f"tables/{TABLE}"}
    assert told == {(kind, version) for kind in ("admitted", "released") for version in ("first", "second")}
