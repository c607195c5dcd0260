"""ReadTopic: a Kafka topic as raw blocks, one per poll, with the watermark of its event times.

Why not Beam's own `ReadFromKafka`: docs/decisions/kafka-source.md.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp

from pipeline.endpoints.kafka_address import EARLIEST, KafkaAddress
from pipeline.endpoints.kafka_progress import Offsets, TopicStretch, TopicTracker, TopicWatermarks
from pipeline.endpoints.kafka_readers import Record, TopicReader, commit, shared_reader
from schemas import batches
from schemas.job import EventsSpec
from schemas.raw import RawBlock
from schemas.records import now_us
from transforms import metrics
from transforms.decode import decode_raw

RECORDS_IN_FUTURE, OFFSETS_SKIPPED = "records_in_future", "kafka_offsets_skipped"
_POLL_RECORDS = 5_000
_POLL_SECONDS = 0.1
# How long one call reads on: a checkpoint waits for its end, and each end costs the runner a residual.
_PASS_SECONDS = 1.0
_LIST_SECONDS = 60.0
# A clock may be ahead by this much; event times beyond it move no watermark.
_AHEAD_US = 60_000_000
_WATERMARKS = TopicWatermarks()
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
        filled = [record.value for record in own if record.value]
        blocks += [_empty(record, address) for record in own if not record.value]
        if not filled:
            continue
        block = framed(filled, f"{address.public}[{partition}]@{own[0].offset}", address.schema, spec.format)
        blocks.append(block)
        times = event_times_us(block, spec, at_us)
        all_times.append(times)
        believable = times[times <= at_us + _AHEAD_US]
        if len(believable):
            greatest[partition] = int(believable.max())
    together = np.concatenate([_NO_TIMES, *all_times])
    in_future = int(np.count_nonzero(together > at_us + _AHEAD_US))
    return Polled(blocks, int(together.min()) if len(together) else None, greatest, in_future)


def framed(values: Sequence[bytes], source: str, schema: str, format_name: str) -> RawBlock:
    """Values of a topic as one block of the format, each its own record."""
    if format_name == "avro":
        parts = tuple((1, len(value)) for value in values)
        return RawBlock(source, schema, len(values), b"".join(values), parts=parts)
    return RawBlock(source, records=tuple(values))


def event_times_us(block: RawBlock, spec: EventsSpec, at_us: int) -> npt.NDArray[np.int64]:
    """The event times of the records of a block that have a valid one, in microseconds (int64 array)."""
    only_times = replace(spec, columns=(), subject=None)
    events, _ = decode_raw(block, only_times, at_us)
    return _NO_TIMES if events is None else batches.times_us(events)


def _empty(record: Record, address: KafkaAddress) -> RawBlock:
    kind = "a tombstone" if record.value is None else "an empty value"
    source = f"{address.public}[{record.partition}]@{record.offset}"
    return RawBlock(source, data=record.value or b"", error=f"{kind} with key {record.key!r:.200}, which is no event")


class _TopicFn(beam.DoFn, RestrictionProvider):
    """What reading with and without an end have in common. The restriction is the offsets of all partitions."""

    def __init__(self, spec: EventsSpec) -> None:
        self._spec = spec

    def initial_restriction(self, address: KafkaAddress) -> TopicStretch:
        """Where to start, asked of the broker, and where it ends now. Raises `TopicUnreadable`."""
        with shared_reader(address, {}) as reader:
            start = reader.start_offsets()
            until = {partition: reader.bounds(partition)[1] for partition in start} if address.bounded else None
        return TopicStretch(start, until)

    def create_tracker(self, restriction: TopicStretch) -> TopicTracker:
        """A tracker for one call of `process`."""
        return TopicTracker(restriction)

    def restriction_size(self, address: KafkaAddress, restriction: TopicStretch) -> int:
        """Offsets left; 1 where there is no end."""
        until = restriction.start if restriction.until is None else restriction.until
        return max(sum(until.values()) - sum(restriction.start.values()), 1)

    def _poll(self, reader: TopicReader, until: Offsets | None = None) -> Polled:
        records, skipped = reader.poll(_POLL_RECORDS, _POLL_SECONDS)
        if until is not None:
            records = [record for record in records if record.offset < until[record.partition]]
        polled = blocks_of(records, reader.address, self._spec, now_us())
        metrics.counter(OFFSETS_SKIPPED).inc(skipped)
        metrics.counter(RECORDS_IN_FUTURE).inc(polled.in_future)
        return polled


class _FollowFn(_TopicFn):
    """Reads a topic without end, a second at a time."""

    @beam.DoFn.unbounded_per_element()  # type: ignore[untyped-decorator]  # Beam does not annotate it
    def process(  # type: ignore[no-untyped-def]  # Beam passes tracker, estimator and finalizer through defaults
        self,
        address: KafkaAddress,
        finalizer=beam.DoFn.BundleFinalizerParam,  # first: Beam passes it by position, the others by name
        tracker=beam.DoFn.RestrictionParam(),
        estimator=beam.DoFn.WatermarkEstimatorParam(_WATERMARKS),
    ) -> Iterator[TimestampedValue[RawBlock]]:
        ends_at = time.monotonic() + _PASS_SECONDS
        with shared_reader(address, tracker.current_restriction().start) as reader:
            reader.find_partitions(_LIST_SECONDS)
            while time.monotonic() < ends_at:
                polled = self._poll(reader)
                if not tracker.try_claim(reader.position):
                    return
                yield from stamped(polled, estimator.current_watermark())
                estimator.observe(polled.greatest_us)
                estimator.advance(list(reader.position), reader.idle(), self._spec.max_out_of_orderness_us)
            reached = dict(reader.position)
        if address.group is not None:
            finalizer.register(lambda: commit(address, reached))
        tracker.defer_remainder()


class _ReadFn(_TopicFn):
    """Reads a topic as far as it reached when the job began."""

    def process(  # type: ignore[no-untyped-def]  # Beam passes the tracker through defaults
        self, address: KafkaAddress, tracker=beam.DoFn.RestrictionParam()
    ) -> Iterator[TimestampedValue[RawBlock]]:
        start, until = tracker.current_restriction()
        with shared_reader(address, start) as reader:
            claimed = {**start}
            while any(claimed[partition] < end for partition, end in until.items()):
                polled = self._poll(reader, until)
                claimed = {partition: min(reader.position[partition], end) for partition, end in until.items()}
                if not tracker.try_claim(claimed):
                    return
                yield from stamped(polled, None)
        tracker.try_claim(until)  # an empty stretch is done too


def stamped(polled: Polled, watermark: Timestamp | None) -> Iterator[TimestampedValue[RawBlock]]:
    """The blocks at the earliest event time among them; those without one at the watermark."""
    if polled.earliest_us is None:
        at = MIN_TIMESTAMP if watermark is None else watermark
    else:
        at = Timestamp(micros=polled.earliest_us)
    for block in polled.blocks:
        yield TimestampedValue(block, at)


class ReadTopic(beam.PTransform[beam.pvalue.PBegin, beam.PCollection[RawBlock]]):
    """Reads a topic as raw blocks, one per poll and partition.

    Input: the pipeline's begin. Output: `RawBlock`, global window, each stamped with its earliest event time;
    unbounded unless the address has an end. One reader takes all partitions, so that an idle one is known as such;
    what follows is spread by event id. Nothing is lost at the source: a record without a value comes as a block with
    `error`. Counted: `records_in_future` (more than a minute ahead of the clock: they move no watermark) and
    `kafka_offsets_skipped` (deleted or compacted before they were read).
    """

    def __init__(self, address: KafkaAddress, spec: EventsSpec) -> None:
        super().__init__()
        self._address, self._spec = address, spec

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[RawBlock]:
        reading = _ReadFn(self._spec) if self._address.bounded else _FollowFn(self._spec)
        topic = begin | "Topic" >> beam.Create([self._address], reshuffle=False)
        read: beam.PCollection[RawBlock] = topic | "Read" >> beam.ParDo(reading).with_output_types(RawBlock)
        return read


def check_readable(address: KafkaAddress) -> None:
    """Raises `TopicUnreadable` unless the broker answers and has the topic."""
    with shared_reader(address, {}) as reader:
        reader.partitions()


def first_blocks(address: KafkaAddress, format_name: str) -> Iterator[RawBlock]:
    """Records that the topic holds already, from the earliest on, in polls, to learn the types of columns from."""
    with shared_reader(replace(address, start=EARLIEST), {}) as reader:
        start = reader.start_offsets()
        until = {partition: reader.bounds(partition)[1] for partition in start}
        reader.seek(start)
        while any(reader.position[partition] < end for partition, end in until.items()):
            values = [record.value or b"" for record in reader.poll(_POLL_RECORDS, _POLL_SECONDS)[0]]
            yield framed([value for value in values if value], address.public, address.schema, format_name)
