"""What a topic holds when it is looked at: a limited number of its first records, in a limited time."""

import time
from dataclasses import replace
from typing import NamedTuple

from pipeline.endpoints.kafka.address import KafkaAddress
from pipeline.endpoints.kafka.pool import shared_reader
from pipeline.endpoints.kafka.readers import Record

_POLL_SECONDS = 0.25


class HeldRecords(NamedTuple):
    """Records with a value, in the order in which they came; `read`: how many records there were in all; `whole`:
    whether the topic holds no more."""

    records: list[Record]
    read: int
    whole: bool


def held_records(address: KafkaAddress, most: int, seconds: float) -> HeldRecords:
    """The first records of a topic, at most `most`, and no more than come within `seconds`.

    Nothing is committed. What comes after the call began is not read.

    Raises:
        TopicUnreadable: the broker does not answer or refuses, or the topic is not there.
    """
    ends_at = time.monotonic() + seconds
    with shared_reader(replace(address, bounded=True), {}) as reader:
        start = reader.start_offsets()
        until = {partition: reader.bounds(partition)[1] for partition in start}
        reader.seek(start)
        records, read = list[Record](), 0
        while any(reader.position[partition] < end for partition, end in until.items()):
            if read >= most or time.monotonic() > ends_at:
                return HeldRecords(records, read, False)
            new = reader.poll(min(5_000, most - read), _POLL_SECONDS).records
            new = [record for record in new if record.offset < until[record.partition]]
            records, read = records + [record for record in new if record.value], read + len(new)
    return HeldRecords(records, read, True)
