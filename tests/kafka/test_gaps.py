"""Records that the broker deleted before they were read are always reported."""

import logging
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline.endpoints.kafka.client import TopicUnreadable
from pipeline.endpoints.kafka.pool import commit
from pipeline.endpoints.kafka.source import _FollowFn
from schemas.job import EventsSpec
from tests.kafka.reading import SECONDS, opened
from tests.kafka.topics import START_US, Topics, event
from tests.pipeline.jobs.flows import Flow

SPEC = EventsSpec("", "json", "id", "at", None, 0, (("delay", "number"),), (0, START_US * 2), "us")
ENTRIES, KEPT_FROM = 80, 60


@pytest.fixture
def flow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Flow:
    made = Flow(tmp_path, capsys)
    made.publish()
    return made


def cut(topics: Topics, partitions: int, kept: Mapping[int, int]) -> str:
    """A topic with entries in each partition, of which the broker keeps those from the given offsets on."""
    topic = topics.create(partitions)
    for partition in range(partitions):
        topics.write(topic, [event(100 * partition + number) for number in range(ENTRIES)], partition)
    for partition, offset in kept.items():
        topics.delete_before(topic, partition, offset)
    return topic


def spec(flow: Flow, topics: Topics, topic: str, committed: Mapping[int, int], query: str) -> dict[str, object]:
    """A job that continues at a group's committed offsets."""
    group = uuid.uuid4().hex
    whole = f"?start=committed&group={group}&until=latest{query}"
    commit(topics.address(topic, whole), committed)
    found = flow.spec(uri=f"{topics.address(topic).public}{whole}", columns={"delay": "number"})
    return {**found, "features": ["delay"]}


COMMITTED = [(1, {0: 10}, {0: 60}, "0]: 50 records"), (1, {0: 59}, {0: 60}, "0]: 1 records"),
             (2, {0: 0, 1: 5}, {1: 80}, "1]: 75 records")]  # fmt: skip


@pytest.mark.parametrize(("partitions", "committed", "kept", "said"), COMMITTED)
def test_a_bounded_job_fails_and_names_the_deleted_records(
    flow: Flow, topics: Topics, partitions: int, committed: dict[int, int], kept: dict[int, int], said: str
) -> None:
    topic = cut(topics, partitions, kept)
    outcome = flow.run(spec(flow, topics, topic, committed, ""))
    assert outcome.code == 1
    assert f"{topic}[{said}" in outcome.err
    assert "were deleted before they were read" in outcome.err
    assert "on_gap=warn" in outcome.err


@pytest.mark.parametrize(("partitions", "committed", "kept", "said"), COMMITTED)
def test_a_bounded_job_with_on_gap_warn_continues_and_counts_deleted_records(
    flow: Flow, topics: Topics, partitions: int, committed: dict[int, int], kept: dict[int, int], said: str
) -> None:
    topic = cut(topics, partitions, kept)
    outcome = flow.run(spec(flow, topics, topic, committed, "&on_gap=warn"))
    assert outcome.code == 0, outcome.err
    gone = {f"{topic}/{partition}": max(kept.get(partition, 0) - start, 0) for partition, start in committed.items()}
    assert outcome.summary["records_deleted"] == {partition: n for partition, n in gone.items() if n}
    assert outcome.summary["records_read"] == sum(ENTRIES - start for start in committed.values()) - sum(gone.values())
    assert f"deleted before read, {topic}/" in outcome.out


def test_a_stream_continues_with_a_warning(topics: Topics, caplog: pytest.LogCaptureFixture) -> None:
    topic = cut(topics, 1, {0: KEPT_FROM})
    with opened(topics.address(topic)) as reader, caplog.at_level(logging.WARNING):
        reader.seek({0: 10})
        following = _FollowFn(SPEC)
        blocks = []
        while reader.position[0] < ENTRIES:
            blocks += following._poll(reader).blocks
    assert sum(len(block.origins) for block in blocks) == ENTRIES - KEPT_FROM
    assert f"{topic}[0]: 50 records (offsets 10 to 59) were deleted before they were read" in caplog.text


def test_a_stream_with_on_gap_fail_fails(topics: Topics) -> None:
    topic = cut(topics, 1, {0: KEPT_FROM})
    with opened(topics.address(topic, "?on_gap=fail")) as reader:
        reader.seek({0: 0})
        following = _FollowFn(SPEC)
        with pytest.raises(TopicUnreadable, match=r"\[0\]: 60 records \(offsets 0 to 59\) were deleted"):
            all(following._poll(reader).blocks == [] for _ in range(100))


def test_records_deleted_at_a_readers_position_are_a_gap_too(topics: Topics) -> None:
    topic = cut(topics, 1, {})
    with opened(topics.address(topic)) as reader:
        reader.seek({0: 0})
        first = reader.poll(5, SECONDS)
        assert len(first.records) == 5
    topics.delete_before(topic, 0, 70)
    with opened(topics.address(topic)) as reader:
        reader.seek({0: 5})
        gaps = []
        while reader.position[0] < ENTRIES:
            gaps += reader.poll(1000, 1.0).gaps
    assert [(gap.first, gap.end) for gap in gaps] == [(5, 70)]


def test_a_topic_without_deleted_records_has_no_gap(flow: Flow, topics: Topics) -> None:
    topic = cut(topics, 1, {})
    outcome = flow.run(spec(flow, topics, topic, {0: 0}, ""))
    assert (outcome.code, outcome.summary["records_deleted"]) == (0, {})


@pytest.mark.parametrize("value", ["ignore", "", "WARN"])
def test_another_word_is_refused(flow: Flow, topics: Topics, value: str) -> None:
    outcome = flow.run(flow.spec(uri=f"{topics.address('t').public}?on_gap={value}"))
    assert outcome.code == 2
    assert "events.uri?on_gap" in outcome.err
    assert "allowed: fail, warn" in outcome.err
