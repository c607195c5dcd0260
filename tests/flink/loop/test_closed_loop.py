"""The loop closed on one stream: a running job is measured, advice is given, and its successor becomes its champion."""

import math
from datetime import date

import pytest

from examples.loop.story import worth_of
from gates.records import QualityRecords
from models.store.store import ModelStore
from runners.flink.local.broker import KafkaBroker
from runners.flink.local.cluster import FlinkCluster
from schemas.times import parse_time_us
from tests.examples.made_up_loans import CHANGE, SHORT, made_up
from tests.flink.loop.looping import StreamedRounds, looping
from tests.servers import needs
from tests.transforms.beam.flights import records

pytestmark = needs("java", "mvn")


@pytest.fixture(scope="module")
def closed(cluster: FlinkCluster, broker: KafkaBroker, tmp_path_factory: pytest.TempPathFactory) -> StreamedRounds:
    """All looks of the loop on one job, which runs from the first event to the last."""
    stream, folder = made_up(CHANGE, 46_000, "2019-08-22"), tmp_path_factory.mktemp("loop")
    with looping(cluster, broker, SHORT, stream, folder) as rounds:
        for look in SHORT.looks:
            rounds.go_round(look)
        return rounds


def test_a_running_job_gets_a_new_champion_by_a_rollout(closed: StreamedRounds) -> None:
    assert closed.champions == {"2": date(2019, 7, 11)}
    store = ModelStore(str(closed.folders.store), SHORT.model)
    releases = store.scan_releases().releases
    assert [(each.champion, each.evidence.partition(":")[0]) for each in releases] == [
        ("1", ""), ("1", "rollout"), ("1", "rollout"), ("2", "rollout")
    ]  # fmt: skip
    training = store.read_manifest("2").training
    told = records(closed.folders.out / "audit" / "models")
    assert [each["kind"] for each in told if f'"advice": "{training["decision"]}"' in str(each["evidence"])]


def test_the_new_champion_loses_less_by_the_labels_that_came_later(closed: StreamedRounds) -> None:
    since = parse_time_us(f"{closed.champions['2']}T00:00:00Z")
    rows = QualityRecords(str(closed.folders.out / "quality"), SHORT.model).latest()
    old, new = worth_of(rows, "1", parse_time_us(f"{CHANGE}T00:00:00Z"), since), worth_of(rows, "2", since, math.inf)
    assert old is not None
    assert new is not None
    assert new.high < old.low


def test_each_event_of_the_stream_was_answered_by_the_release_of_its_time(closed: StreamedRounds) -> None:
    store = ModelStore(str(closed.folders.store), SHORT.model)
    releases = sorted(store.scan_releases().releases, key=lambda each: each.effective_from_us)
    receipts = records(closed.folders.out / "audit" / "receipts")
    answers = [each for each in receipts if each["role"] != "shadow"]
    assert len({each["event_id"] for each in answers}) == closed.sent
    for each in answers:
        at_us = int(each["event_time"].timestamp() * 1e6)
        wanted = [release.sequence for release in releases if release.effective_from_us <= at_us][-1]
        assert each["release"] == wanted
