"""Readers of topics, used directly by tests."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pipeline.endpoints.kafka.address import KafkaAddress
from pipeline.endpoints.kafka.damage import TopicDamage
from pipeline.endpoints.kafka.readers import Arrived, Gap, Record, TopicReader

SECONDS = 60.0


@contextmanager
def opened(address: KafkaAddress) -> Iterator[TopicReader]:
    """A reader of the address, closed afterwards."""
    reader = TopicReader(address)
    try:
        yield reader
    finally:
        reader.close()


def read_until(reader: TopicReader, position: Mapping[int, int], listing: bool = False) -> Arrived:
    """All records until these offsets are reached; with `listing` new partitions are looked for at every poll."""
    records: list[Record] = []
    damages: list[TopicDamage] = []
    gaps: list[Gap] = []
    skipped, deadline = 0, time.monotonic() + SECONDS
    while any(reader.position.get(partition, -1) < offset for partition, offset in position.items()):
        assert time.monotonic() < deadline, f"at {reader.position} of {dict(position)} after {SECONDS:.0f} s"
        if listing:
            reader.find_partitions(0)
        more = reader.poll(1000, 0.1)
        records, damages, skipped = records + more.records, damages + more.damages, skipped + more.skipped
        gaps += more.gaps
    return Arrived(records, skipped, damages, gaps)
