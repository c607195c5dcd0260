"""The result of polling a topic: raw blocks, already decoded, and the event times in them for the watermark."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.endpoints.framing import framed
from pipeline.endpoints.kafka.address import KafkaAddress
from pipeline.endpoints.kafka.damage import TopicDamage
from pipeline.endpoints.kafka.readers import Record
from pipeline.endpoints.kafka.registry import FRAME_BYTES, SchemaUnknown, number_of, schema_of
from schemas import batches
from schemas.formats.envelopes.event_batches import unbatched
from schemas.formats.envelopes.kinds import DEBEZIUM, TOMBSTONES
from schemas.formats.raw import DecodedBlock, RawBlock
from schemas.job import EventsSpec
from transforms.decoding.decode_raw import decode_raw

# A clock may be ahead by this much; event times beyond that do not advance the watermark.
_AHEAD_US = 60_000_000
_NO_TIMES = np.array([], np.int64)


class PolledBlocks(NamedTuple):
    """One poll: raw blocks, the earliest event time among them, the greatest of each partition (microseconds)."""

    blocks: list[RawBlock]
    earliest_us: int | None
    greatest_us: dict[int, int]
    in_future: int


def blocks_of(records: Sequence[Record], address: KafkaAddress, spec: EventsSpec, at_us: int) -> PolledBlocks:
    """The records of a poll, blocks of each partition, and one with `error` for each record without a value or schema.

    The blocks are decoded: the event times in them are needed here, and later steps need not decode them again.
    Raises `RegistryUnreachable` and `TopicUnreadable`.
    """
    blocks: list[RawBlock] = []
    greatest: dict[int, int] = {}
    all_times = []
    for partition in sorted({record.partition for record in records}):
        own = [record for record in records if record.partition == partition]
        filled = [record for record in own if record.value]
        blocks += [_empty(record, address, spec.envelope) for record in own if not record.value]
        if not filled:
            continue
        times = _NO_TIMES
        for block in filled_blocks(filled, address, spec.format, spec.envelope):
            decoded = decode_raw(block, spec, at_us)
            blocks.append(block._replace(decoded=decoded))
            times = np.concatenate([times, event_times_us(block, decoded, spec, at_us)])
        all_times.append(times)
        believable = times[times <= at_us + _AHEAD_US]
        if len(believable):
            greatest[partition] = int(believable.max())
    together = np.concatenate([_NO_TIMES, *all_times])
    in_future = int(np.count_nonzero(together > at_us + _AHEAD_US))
    return PolledBlocks(blocks, int(together.min()) if len(together) else None, greatest, in_future)


def filled_blocks(
    records: Sequence[Record], address: KafkaAddress, format_name: str, envelope: str | None = None
) -> list[RawBlock]:
    """Records of one partition, none without a value: one block, or with a registry one for each schema.

    Of batches of CloudEvents each event is a record of the block. Raises `RegistryUnreachable` and `TopicUnreadable`.
    """
    if not address.registry:
        return [_block(records, address, address.schema, format_name, envelope)]
    by_frame: dict[bytes, list[Record]] = {}
    for record in records:
        by_frame.setdefault((record.value or b"")[:FRAME_BYTES], []).append(record)
    blocks: list[RawBlock] = []
    for frame, own in by_frame.items():
        try:
            # Values in JSON and Examples need no schema to be read; only their frame is removed.
            schema = schema_of(frame, address) if format_name == "avro" else str(number_of(frame))
        except SchemaUnknown as error:
            blocks += [_refused(record, address, str(error)) for record in own]
        else:
            blocks.append(_block(own, address, schema, format_name, envelope, frame))
    return blocks


def _block(
    records: Sequence[Record],
    address: KafkaAddress,
    schema: str,
    format_name: str,
    envelope: str | None,
    frame: bytes = b"",
) -> RawBlock:
    values = [(record.value or b"")[len(frame) :] for record in records]
    source = _source(address, records[0].partition, records[0].offset)
    values, origins = unbatched(values, records, format_name, envelope)
    return framed(values, source, schema, format_name, tuple(origins))._replace(prefix=frame)


def event_times_us(block: RawBlock, decoded: DecodedBlock, spec: EventsSpec, at_us: int) -> npt.NDArray[np.int64]:
    """The event times of the records of a block that have a valid one, in microseconds (int64 array).

    Dead letters count too: a partition all of whose records have a wrong column does not hold the watermark back.
    """
    if decoded.letters:
        decoded = decode_raw(block, replace(spec, columns=(), subject=None), at_us)
    return _NO_TIMES if decoded.events is None else batches.times_us(decoded.events)


def lost_records(damages: Sequence[TopicDamage], address: KafkaAddress) -> Iterator[RawBlock]:
    """A block with `error` for each record that the broker cannot return; its bytes are not available."""
    for damage in damages:
        for offset in range(damage.first, damage.end):
            yield RawBlock(
                _source(address, damage.partition, offset),
                error=f"the batch with offsets {damage.first} to {damage.end - 1} is damaged ({damage.reason})",
            )


def _empty(record: Record, address: KafkaAddress, envelope: str | None) -> RawBlock:
    if record.value is None and envelope == DEBEZIUM:
        skipped = DecodedBlock(None, [], ((TOMBSTONES, 1),))
        return RawBlock(_source(address, record.partition, record.offset), origins=(record,), decoded=skipped)
    kind = "a tombstone" if record.value is None else "an empty value"
    return _refused(record, address, f"{kind}, which is not an event")


def _refused(record: Record, address: KafkaAddress, error: str) -> RawBlock:
    source = _source(address, record.partition, record.offset)
    return RawBlock(source, data=record.value or b"", error=error, origins=(record,))


def _source(address: KafkaAddress, partition: int, offset: int) -> str:
    return f"{address.public}[{partition}]@{offset}"
