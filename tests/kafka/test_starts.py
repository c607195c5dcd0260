"""Where reading begins, and what a group's committed offsets are."""

import uuid

import pytest

from pipeline.endpoints.kafka.client import TopicUnreadable
from pipeline.endpoints.kafka.pool import commit
from pipeline.endpoints.kafka.readers import Gap
from tests.kafka.reading import opened, read_until
from tests.kafka.topics import START_US, Topics, event


@pytest.fixture
def filled(topics: Topics) -> str:
    """Two partitions: three records, a minute apart in the records' own time, and none."""
    topic = topics.create(2)
    for number in range(3):
        topics.write(topic, [event(number)], timestamp=START_US // 1000 + 60_000 * number)
    return topic


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("earliest", {0: 0, 1: 0}),
        ("latest", {0: 3, 1: 0}),
        ("2026-01-01T00:01:00Z", {0: 1, 1: 0}),
        ("2026-01-01T00:01:00.001Z", {0: 2, 1: 0}),
        ("2026-01-01T01:00:00Z", {0: 3, 1: 0}),
        ("committed&group=nobody", {0: 0, 1: 0}),
    ],
)
def test_start_is_where_the_address_says(topics: Topics, filled: str, start: str, expected: dict[int, int]) -> None:
    with opened(topics.address(filled, f"?start={start}")) as reader:
        assert reader.start_offsets() == expected


def test_committed_offsets_are_where_the_group_continues(topics: Topics, filled: str) -> None:
    group = uuid.uuid4().hex
    address = topics.address(filled, f"?start=committed&group={group}")
    commit(address, {0: 2, 1: 0})
    assert topics.committed(filled, group, [0, 1]) == {0: 2, 1: 0}
    with opened(address) as reader:
        assert reader.start_offsets() == {0: 2, 1: 0}


def test_reading_alone_commits_nothing(topics: Topics, filled: str) -> None:
    group = uuid.uuid4().hex
    with opened(topics.address(filled, f"?group={group}")) as reader:
        reader.seek({0: 0})
        read_until(reader, {0: 3})
    assert topics.committed(filled, group) == {0: -1001}


def test_offsets_that_the_broker_deleted_are_a_gap(topics: Topics, filled: str) -> None:
    topics.delete_before(filled, 0, 2)
    with opened(topics.address(filled)) as reader:
        reader.seek({0: 0, 1: 0})
        arrived = read_until(reader, {0: 3})
    assert [record.offset for record in arrived.records] == [2]
    assert (arrived.skipped, arrived.gaps) == (0, [Gap(0, 0, 2)])


def test_topic_that_is_shorter_than_it_was_is_a_clear_error(topics: Topics, filled: str) -> None:
    with opened(topics.address(filled)) as reader:
        reader.seek({0: 9, 1: 0})
        with pytest.raises(TopicUnreadable, match=r"\[0\]: it ends at 3, before offset 9 where this job stands"):
            read_until(reader, {0: 10})


def test_partitions_created_meanwhile_are_read_from_their_beginning(topics: Topics, filled: str) -> None:
    with opened(topics.address(filled)) as reader:
        reader.seek({0: 0, 1: 0})
        read_until(reader, {0: 3})
        topics.widen(filled, 3)
        topics.write(filled, [event(7)], partition=2)
        arrived = read_until(reader, {2: 1}, listing=True)
    assert [(record.partition, record.offset) for record in arrived.records] == [(2, 0)]


def test_reader_keeps_unread_records_when_it_looks_for_partitions(topics: Topics, filled: str) -> None:
    with opened(topics.address(filled)) as reader:
        reader.seek({0: 0, 1: 0})
        reader.find_partitions(0)
        assert [record.offset for record in read_until(reader, {0: 3}).records] == [0, 1, 2]
