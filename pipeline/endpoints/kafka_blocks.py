"""What a poll of a topic becomes: raw blocks for decoding, and the event times in them for the watermark."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.endpoints.framing import framed
from pipeline.endpoints.kafka_address import KafkaAddress
from pipeline.endpoints.kafka_damage import Damage
from pipeline.endpoints.kafka_readers import Record
from schemas import batches
from schemas.job import EventsSpec
from schemas.raw import Origin, RawBlock
from transforms.decode import decode_raw

# A clock may be ahead by this much; event times beyond it move no watermark.
_AHEAD_US = 60_000_000
_NO_TIMES = np.array([], np.int64)


class Polled(NamedTuple):
    """One poll: raw blocks, the earliest event time among them, the greatest of each partition (microseconds)."""

    blocks: list[RawBlock]
    earliest_us: int | None
    greatest_us: dict[int, int]
    in_future: int


def blocks_of(records: Sequence[Record], address: KafkaAddress, spec: EventsSpec, at_us: int) -> Polled:
    """The records of a poll, a block for each partition, and one with `error` for each record without a value."""
    blocks: list[RawBlock] = []
    greatest: dict[int, int] = {}
    all_times = []
    for partition in sorted({record.partition for record in records}):
        own = [record for record in records if record.partition == partition]
        filled = [record for record in own if record.value]
        blocks += [_empty(record, address) for record in own if not record.value]
        if not filled:
            continue
        block = block_of(filled, address, spec.format)
        blocks.append(block)
        times = event_times_us(block, spec, at_us)
        all_times.append(times)
        believable = times[times <= at_us + _AHEAD_US]
        if len(believable):
            greatest[partition] = int(believable.max())
    together = np.concatenate([_NO_TIMES, *all_times])
    in_future = int(np.count_nonzero(together > at_us + _AHEAD_US))
    return Polled(blocks, int(together.min()) if len(together) else None, greatest, in_future)


def block_of(records: Sequence[Record], address: KafkaAddress, format_name: str) -> RawBlock:
    """Records of one partition, none without a value, as one block of the format."""
    values = [record.value or b"" for record in records]
    source = _source(address, records[0].partition, records[0].offset)
    return framed(values, source, address.schema, format_name, tuple(_origin(record) for record in records))


def event_times_us(block: RawBlock, spec: EventsSpec, at_us: int) -> npt.NDArray[np.int64]:
    """The event times of the records of a block that have a valid one, in microseconds (int64 array)."""
    only_times = replace(spec, columns=(), subject=None)
    events, _ = decode_raw(block, only_times, at_us)
    return _NO_TIMES if events is None else batches.times_us(events)


def lost_records(damages: Sequence[Damage], address: KafkaAddress) -> Iterator[RawBlock]:
    """A block with `error` for each record that the broker cannot give back; its bytes are not to be had."""
    for damage in damages:
        for offset in range(damage.first, damage.end):
            yield RawBlock(
                _source(address, damage.partition, offset),
                error=f"the batch with offsets {damage.first} to {damage.end - 1} is damaged ({damage.reason})",
            )


def _empty(record: Record, address: KafkaAddress) -> RawBlock:
    kind = "a tombstone" if record.value is None else "an empty value"
    source = _source(address, record.partition, record.offset)
    return RawBlock(source, data=record.value or b"", error=f"{kind}, which is no event", origins=(_origin(record),))


def _source(address: KafkaAddress, partition: int, offset: int) -> str:
    return f"{address.public}[{partition}]@{offset}"


def _origin(record: Record) -> Origin:
    return Origin(record.offset, record.key, record.headers)
