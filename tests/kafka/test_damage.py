"""Batches that were damaged on the broker's disk: their records are reported as lost, and reading continues after
them."""

import logging
import struct
import threading
from pathlib import Path

import google_crc32c
import pytest

from pipeline.endpoints.kafka import damage as kafka_damage
from pipeline.endpoints.kafka import readers as kafka_readers
from pipeline.endpoints.kafka.damage import TopicDamage
from tests.kafka.reading import opened, read_until
from tests.kafka.topics import Topics, event

# Offsets in a batch of Kafka's message format 2: of its length, of its checksum, and of the first byte that the
# checksum covers.
LENGTH, CHECKSUM, COUNTED, BODY = 8, 17, 21, 61


def batches(data: bytes | bytearray) -> list[slice]:
    """Where the batches of a segment are."""
    found, start = [], 0
    while start < len(data):
        size = int(struct.unpack_from(">i", data, start + LENGTH)[0]) + LENGTH + 4
        found.append(slice(start, start + size))
        start += size
    return found


def damage(topics: Topics, topic: str, *numbers: int, checksum: bool = False) -> None:
    """Turns bytes in batches of a partition around, on disk; with `checksum` the batch is given a right one again."""
    path: Path = topics.broker.folder / "logs" / f"{topic}-0" / f"{0:020}.log"
    data = bytearray(path.read_bytes())
    for number in numbers:
        found = batches(data)[number]
        batch = data[found]
        for index in range(BODY + 4, BODY + 24):
            batch[index] ^= 0x55
        if checksum:
            struct.pack_into(">I", batch, CHECKSUM, google_crc32c.value(bytes(batch[COUNTED:])))
        data[found] = batch
    with path.open("r+b") as segment:  # the broker holds the file open, so it must stay the same file
        segment.write(data)


@pytest.fixture
def topic(topics: Topics) -> str:
    return topics.create()


def write_batches(topics: Topics, topic: str, sizes: list[int], compression: str = "none") -> None:
    first = 0
    for size in sizes:
        topics.write(topic, [event(number) for number in range(first, first + size)], compression=compression)
        first += size


def offsets_and_lost(topics: Topics, topic: str, end: int) -> tuple[list[int], list[TopicDamage]]:
    with opened(topics.address(topic)) as reader:
        reader.seek({0: 0})
        arrived = read_until(reader, {0: end})
    assert arrived.skipped == 0
    return [record.offset for record in arrived.records], arrived.damages


def test_wrong_checksum_costs_its_batch_and_no_other(topics: Topics, topic: str) -> None:
    write_batches(topics, topic, [3, 40, 3])
    damage(topics, topic, 1)
    offsets, damages = offsets_and_lost(topics, topic, 46)
    assert offsets == [0, 1, 2, 43, 44, 45]
    assert [(lost.first, lost.end) for lost in damages] == [(3, 43)]
    assert "CRC32C" in damages[0].reason


@pytest.mark.parametrize("compression", ["gzip", "lz4", "zstd"])
def test_undecompressable_batch_costs_no_other(topics: Topics, topic: str, compression: str) -> None:
    write_batches(topics, topic, [3, 5, 3], compression)
    damage(topics, topic, 1, checksum=True)
    offsets, damages = offsets_and_lost(topics, topic, 11)
    assert offsets == [0, 1, 2, 8, 9, 10]
    assert [(lost.first, lost.end) for lost in damages] == [(3, 8)]
    assert "ecompress" in damages[0].reason


def test_partition_that_makes_no_progress_without_a_reason_is_logged(
    topics: Topics, topic: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that decompresses to no records: librdkafka asks for it for ever and says nothing."""
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(kafka_readers, "_STALL_SECONDS", 0.5)
    write_batches(topics, topic, [3, 5, 3], "snappy")
    damage(topics, topic, 1, checksum=True)
    with opened(topics.address(topic)) as reader:
        reader.seek({0: 0})
        read_until(reader, {0: 3})
        while not reader.stalled():
            assert reader.poll(100, 0.1) == kafka_readers.Arrived([], 0, [], [])
        reader.find_partitions(0)
    assert "[0]: nothing has come since offset 3, though it is not the last" in caplog.text


def test_good_batch_between_damaged_ones_is_read_at_once(
    topics: Topics, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    write_batches(topics, topic, [4, 2, 6, 1])
    damage(topics, topic, 0, 2)
    offsets, damages = offsets_and_lost(topics, topic, 13)
    assert offsets == [4, 5, 12]
    assert [(lost.first, lost.end) for lost in damages] == [(0, 4), (6, 12)]
    assert "no answer for offset" not in caplog.text


def test_damage_at_the_end_of_a_partition_ends_there(topics: Topics, topic: str) -> None:
    write_batches(topics, topic, [2, 2])
    damage(topics, topic, 1)
    offsets, damages = offsets_and_lost(topics, topic, 4)
    assert offsets == [0, 1]
    assert [(lost.first, lost.end) for lost in damages] == [(2, 4)]


def test_reader_that_starts_within_a_damaged_batch_loses_only_the_rest(topics: Topics, topic: str) -> None:
    write_batches(topics, topic, [6, 2])
    damage(topics, topic, 0)
    with opened(topics.address(topic)) as reader:
        reader.seek({0: 4})
        arrived = read_until(reader, {0: 8})
    assert [record.offset for record in arrived.records] == [6, 7]
    assert [(lost.first, lost.end) for lost in arrived.damages] == [(4, 6)]


def test_consumer_that_does_not_close_holds_up_no_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(kafka_damage, "_CLOSE_SECONDS", 0.05)

    class Hanging:
        def close(self) -> None:
            ended.wait()

    kafka_damage._closed(Hanging())
    ended.set()
