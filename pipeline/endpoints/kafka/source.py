"""ReadTopic: a Kafka topic as raw blocks, one per poll, with the watermark of its event times.

Why not Beam's own `ReadFromKafka`: docs/decisions/kafka-source.md.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import replace

import apache_beam as beam
from apache_beam import coders
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Duration, Timestamp

from pipeline.endpoints.kafka.address import EARLIEST, KafkaAddress
from pipeline.endpoints.kafka.blocks import PolledBlocks, blocks_of, filled_blocks, lost_records
from pipeline.endpoints.kafka.client import TopicUnreadable
from pipeline.endpoints.kafka.pool import commit, shared_reader
from pipeline.endpoints.kafka.progress import Offsets, TopicStretch, TopicTracker, TopicWatermark, TopicWatermarks
from pipeline.endpoints.kafka.readers import Gap, TopicReader
from pipeline.endpoints.kafka.registry import RegistryUnreachable, check_registry
from pipeline.endpoints.kafka.silence import Silence
from schemas.formats.raw import RawBlock
from schemas.job import EventsSpec
from schemas.times import now_us
from transforms.flow import metrics
from transforms.flow.state import Plain, VersionedStateCoder

_LOG = logging.getLogger(__name__)
_POLL_RECORDS = 5_000
# Seconds that a poll waits for records. Each poll costs a bundle in every later step, whatever is in it: where few
# records arrive, polls are less frequent.
_POLL_SECONDS, _BUSY_POLL_SECONDS = 0.25, 0.1
_BUSY_RECORDS = 100
# Seconds for which one call keeps reading while little arrives: its records are emitted only when it returns, and a
# checkpoint waits for it; each return costs the runner a residual.
_PASS_SECONDS = 0.25
_LIST_SECONDS = 60.0
_PAUSE_SECONDS = 1
_WATERMARKS = TopicWatermarks()
_TOPIC_VERSION, _STRETCH_VERSION = 1, 1


class _TopicCoder(VersionedStateCoder):
    """Encodes the address: checkpoints hold it beside the offsets."""

    def __init__(self) -> None:
        super().__init__("topic", _TOPIC_VERSION, Plain(KafkaAddress))

    def to_type_hint(self) -> type:
        return KafkaAddress


coders.registry.register_coder(KafkaAddress, _TopicCoder)


class _TopicFn(beam.DoFn, RestrictionProvider):
    """What bounded and unbounded reading share. The restriction is the offsets of all partitions."""

    def __init__(self, spec: EventsSpec) -> None:
        self._spec = spec
        self._busy = False

    def initial_restriction(self, address: KafkaAddress) -> TopicStretch:
        """Asks the broker where to start, and where the topic ends now. Raises `TopicUnreadable`."""
        with shared_reader(address, {}) as reader:
            start = reader.start_offsets()
            until = {partition: reader.bounds(partition)[1] for partition in start} if address.bounded else None
        return TopicStretch(start, until)

    def restriction_coder(self) -> VersionedStateCoder:
        """Encodes the offsets, which outlive a job in its checkpoints."""
        return VersionedStateCoder("stretch", _STRETCH_VERSION, Plain(TopicStretch))

    def create_tracker(self, restriction: TopicStretch) -> TopicTracker:
        """A tracker for one call of `process`."""
        return TopicTracker(restriction)

    def restriction_size(self, address: KafkaAddress, restriction: TopicStretch) -> int:
        """Offsets left; 1 where there is no end."""
        until = restriction.start if restriction.until is None else restriction.until
        return max(sum(until.values()) - sum(restriction.start.values()), 1)

    def _poll(self, reader: TopicReader, until: Offsets | None = None) -> PolledBlocks:
        seconds = _BUSY_POLL_SECONDS if self._busy else _POLL_SECONDS
        records, skipped, damages, gaps = reader.poll(_POLL_RECORDS, seconds)
        self._busy = len(records) >= _BUSY_RECORDS
        for gap in gaps:
            _report(gap if until is None else gap._replace(end=min(gap.end, until[gap.partition])), reader.address)
        if until is not None:
            records = [record for record in records if record.offset < until[record.partition]]
            damages = [damage._replace(end=min(damage.end, until[damage.partition])) for damage in damages]
        polled = blocks_of(records, reader.address, self._spec, now_us())
        lost = list(lost_records(damages, reader.address))
        metrics.counter(metrics.KAFKA_OFFSETS_SKIPPED).inc(skipped)
        metrics.counter(metrics.RECORDS_IN_FUTURE).inc(polled.in_future)
        metrics.counter(metrics.KAFKA_RECORDS_LOST).inc(len(lost))
        return polled._replace(blocks=polled.blocks + lost)


def _report(gap: Gap, address: KafkaAddress) -> None:
    """Counts and reports records that were deleted before they were read. Raises `TopicUnreadable` where that fails the
    job."""
    if gap.offsets <= 0:
        return
    where = f"{address.public}[{gap.partition}]"
    said = f"{where}: {gap.offsets} records (offsets {gap.first} to {gap.end - 1}) were deleted before they were read"
    if address.gap_fails:
        raise TopicUnreadable(f"{said}; next, to go on without them: on_gap=warn in the topic's URI, or another start")
    _LOG.warning("%s; reading goes on at offset %d", said, gap.end)
    metrics.records_deleted(address.topic, gap.partition).inc(gap.offsets)


class _FollowFn(_TopicFn):
    """Reads a topic without end, one pass at a time. `silent_after_us`: how long it may be silent before its event time
    goes on with the clock; None: for ever."""

    def __init__(self, spec: EventsSpec, silent_after_us: int | None = None) -> None:
        super().__init__(spec)
        self._silent_after_us = silent_after_us
        self._silence: Silence | None = None

    @beam.DoFn.unbounded_per_element()  # type: ignore[untyped-decorator]  # Beam does not annotate it
    def process(  # type: ignore[no-untyped-def]  # Beam passes tracker, estimator and finalizer through defaults
        self,
        address: KafkaAddress,
        finalizer=beam.DoFn.BundleFinalizerParam,  # first: Beam passes it by position, the others by name
        tracker=beam.DoFn.RestrictionParam(),
        estimator=beam.DoFn.WatermarkEstimatorParam(_WATERMARKS),
    ) -> Iterator[TimestampedValue[RawBlock]]:
        pause = Duration()
        with shared_reader(address, tracker.current_restriction().start) as reader:
            reader.find_partitions(_LIST_SECONDS)
            # From here on newly found partitions are forgotten unless they are claimed in this pass.
            ends_at = time.monotonic() + _PASS_SECONDS
            while time.monotonic() < ends_at:
                before = dict(reader.position)
                try:
                    polled = self._poll(reader)
                except RegistryUnreachable as error:  # the polled records are read again in the next pass
                    _LOG.warning("%s; reading waits", error)
                    metrics.counter(metrics.SCHEMA_REGISTRY_SILENCES).inc()
                    reader.seek(before)
                    pause = Duration(seconds=_PAUSE_SECONDS)
                    break
                if not tracker.try_claim(reader.position):
                    return
                yield from stamped(polled, estimator.current_watermark())
                estimator.observe(polled.greatest_us)
                idle = reader.idle()
                estimator.advance(list(reader.position), idle, self._spec.max_out_of_orderness_us)
                if self._silent_after_us is not None:
                    self._listen(address, polled, estimator, len(idle) == len(reader.position))
                if self._busy:  # much has arrived: continue at once
                    break
            reached = dict(reader.position)
        if address.group is not None:
            finalizer.register(lambda: commit(address, reached))
        tracker.defer_remainder(pause)


    def _listen(self, address: KafkaAddress, polled: PolledBlocks, estimator: TopicWatermark, idle: bool) -> None:
        at_us = now_us()
        if polled.greatest_us:
            estimator.heard(at_us)
        if self._silence is None and self._silent_after_us is not None:
            self._silence = Silence(address.topic, address.public, self._silent_after_us)
        if self._silence is not None:
            self._silence.look(estimator, idle, at_us)


class _ReadFn(_TopicFn):
    """Reads a topic up to its end at the job's start."""

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
        tracker.try_claim(until)  # an empty range must be claimed too


def stamped(polled: PolledBlocks, watermark: Timestamp | None) -> Iterator[TimestampedValue[RawBlock]]:
    """The blocks with the earliest event time among them as timestamp; without event times, at the watermark."""
    if polled.earliest_us is None:
        at = MIN_TIMESTAMP if watermark is None else watermark
    else:
        at = Timestamp(micros=polled.earliest_us)
    for block in polled.blocks:
        yield TimestampedValue(block, at)


class ReadTopic(beam.PTransform[beam.pvalue.PBegin, beam.PCollection[RawBlock]]):
    """Reads a topic as raw blocks, one per poll and partition, and decodes them: the watermark needs the event times.

    Input: the pipeline's begin. Output: `RawBlock` with its `decoded` form, which DecodeEvents then uses as it is;
    global window, each with its earliest event time as timestamp; unbounded unless the address has an end. One reader
    reads all partitions, so that an idle one is recognised; later steps are spread by event id. Nothing is lost
    silently: a record without a value, or in a batch that the broker cannot return, becomes a block with `error`.
    Counted: `records_in_future` (more than a minute ahead of the clock: they do not advance the watermark),
    `kafka_records_lost` (in damaged batches), `kafka_records_deleted/…` by topic and partition (by the broker, before
    they were read; they fail the job where the address says so) and `kafka_offsets_skipped` (compacted, or transaction
    markers). `silent_after_us`: from so long a silence of all partitions on, event time goes on with the clock.
    """

    def __init__(self, address: KafkaAddress, spec: EventsSpec, silent_after_us: int | None = None) -> None:
        super().__init__()
        self._address, self._spec, self.silent_after_us = address, spec, silent_after_us

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[RawBlock]:
        following = _FollowFn(self._spec, self.silent_after_us)
        reading = _ReadFn(self._spec) if self._address.bounded else following
        topic = begin | "Topic" >> beam.Create([self._address], reshuffle=False)
        read: beam.PCollection[RawBlock] = topic | "Read" >> beam.ParDo(reading).with_output_types(RawBlock)
        return read


def check_readable(address: KafkaAddress) -> None:
    """Raises `TopicUnreadable` unless the broker answers and has the topic, and its registry answers."""
    if address.registry:
        check_registry(address)
    with shared_reader(address, {}) as reader:
        reader.partitions()


def first_blocks(address: KafkaAddress, format_name: str, envelope: str | None = None) -> Iterator[RawBlock]:
    """Records that the topic already holds, from the earliest on, poll by poll, from which column types are
    inferred."""
    return held_blocks(replace(address, start=EARLIEST, bounded=True), format_name, envelope)


def held_blocks(address: KafkaAddress, format_name: str, envelope: str | None = None) -> Iterator[RawBlock]:
    """Records with a value that the topic holds now, from the address's start on, poll by poll; not decoded."""
    with shared_reader(address, {}) as reader:
        start = reader.start_offsets()
        until = {partition: reader.bounds(partition)[1] for partition in start}
        reader.seek(start)
        while any(reader.position[partition] < end for partition, end in until.items()):
            filled = [record for record in reader.poll(_POLL_RECORDS, _POLL_SECONDS).records if record.value]
            if filled:
                yield from filled_blocks(filled, address, format_name, envelope)
