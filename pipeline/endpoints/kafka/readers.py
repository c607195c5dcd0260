"""A consumer of all partitions of a topic: where to start, what has arrived, which partitions are idle."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from pipeline.endpoints.kafka.address import COMMITTED, EARLIEST, LATEST, KafkaAddress
from pipeline.endpoints.kafka.client import TopicUnreadable, Troubles, consumer_settings, refused_setting
from pipeline.endpoints.kafka.damage import TopicDamage, end_of_damage, is_damage
from schemas.times import parse_time_us

_LOG = logging.getLogger(__name__)
_ANSWER_SECONDS = 15.0
_ASK_SECONDS = 1.0
# Seconds after which a warning is logged for a partition that is not at its end and delivers nothing.
_STALL_SECONDS = 60.0
_Answer = TypeVar("_Answer")


class Record(NamedTuple):
    """One record of a topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


class Gap(NamedTuple):
    """Offsets of one partition, from `first` to before `end`, that the broker deleted before they were read."""

    partition: int
    first: int
    end: int

    @property
    def offsets(self) -> int:
        """How many offsets; there were as many records, or fewer where some were compacted or were transaction
        markers."""
        return self.end - self.first


class Arrived(NamedTuple):
    """The result of one poll: records, offsets without a record (compacted, or transaction markers), damaged ones, and
    gaps."""

    records: list[Record]
    skipped: int
    damages: list[TopicDamage]
    gaps: list[Gap]


class TopicReader:
    """One consumer of all partitions of a topic. Not thread-safe; `shared_reader` lends it to one user at a time.

    Raises `TopicUnreadable` where a setting is not allowed.
    """

    def __init__(self, address: KafkaAddress) -> None:
        from confluent_kafka import Consumer, KafkaException

        self.address = address
        self.position: dict[int, int] = {}
        self._at_end: set[int] = set()
        self._heard_at: dict[int, float] = {}
        self._listed_at = time.monotonic()
        self._alone = False
        self._troubles = Troubles(address)
        try:
            self._consumer = Consumer(consumer_settings(address) | {"error_cb": self._troubled})
        except KafkaException as error:
            raise refused_setting(address, error) from None

    def _answer(self, ask: Callable[[float], _Answer], about: str) -> _Answer:
        """The broker's answer to `ask(timeout)`. Raises `TopicUnreadable` without an answer, at once if refused."""
        from confluent_kafka import KafkaException

        deadline = time.monotonic() + _ANSWER_SECONDS
        while True:
            try:
                return ask(_ASK_SECONDS)
            except KafkaException as error:
                if not self.position:  # nothing is fetched yet: a poll only receives background errors
                    self._consumer.poll(0)
                self._troubles.check()
                if time.monotonic() > deadline:
                    reason = self._troubles.latest or error.args[0].str()
                    raise TopicUnreadable(f"{about}: the broker does not answer ({reason})") from None

    def partitions(self) -> list[int]:
        """The topic's partitions. Raises `TopicUnreadable`."""
        topic, about = self.address.topic, self.address.public
        found = self._answer(lambda seconds: self._consumer.list_topics(topic, timeout=seconds), about).topics[topic]
        if found.error is not None or not found.partitions:
            reason = "it has no partitions" if found.error is None else found.error.str()
            raise TopicUnreadable(f"{about}: the topic cannot be read ({reason})")
        self._listed_at = time.monotonic()
        return sorted(found.partitions)

    def start_offsets(self) -> dict[int, int]:
        """The offset of `start` of the address on each partition. Raises `TopicUnreadable`."""
        partitions, start = self.partitions(), self.address.start
        if start in (EARLIEST, LATEST):
            return {partition: self.bounds(partition)[start == LATEST] for partition in partitions}
        found = self._committed(partitions) if start == COMMITTED else self._at_time(partitions, parse_time_us(start))
        # Nothing committed yet: from the beginning. No record at or after the time: from the end.
        instead = 0 if start == COMMITTED else 1
        return {one: offset if offset >= 0 else self.bounds(one)[instead] for one, offset in found.items()}

    def bounds(self, partition: int) -> tuple[int, int]:
        """The first offset still kept, and the one after the last. Raises `TopicUnreadable`."""
        from confluent_kafka import TopicPartition

        topic_partition = TopicPartition(self.address.topic, partition)
        return self._answer(
            lambda seconds: self._consumer.get_watermark_offsets(topic_partition, timeout=seconds),
            f"{self.address.public}[{partition}]",
        )

    def _committed(self, partitions: list[int]) -> dict[int, int]:
        from confluent_kafka import TopicPartition

        wanted = [TopicPartition(self.address.topic, partition) for partition in partitions]
        about = f"{self.address.public}, group {self.address.group}"
        found = self._answer(lambda seconds: self._consumer.committed(wanted, timeout=seconds), about)
        return self._offsets(found, about)

    def _at_time(self, partitions: list[int], time_us: int) -> dict[int, int]:
        from confluent_kafka import TopicPartition

        wanted = [TopicPartition(self.address.topic, partition, time_us // 1000) for partition in partitions]
        about = self.address.public
        found = self._answer(lambda seconds: self._consumer.offsets_for_times(wanted, timeout=seconds), about)
        return self._offsets(found, about)

    @staticmethod
    def _offsets(found: list[Any], about: str) -> dict[int, int]:
        for answered in found:
            if answered.error is not None:
                raise TopicUnreadable(f"{about}: {answered.error.str()}")
        return {answered.partition: answered.offset for answered in found}

    def seek(self, position: Mapping[int, int]) -> None:
        """Continues at these offsets, which costs nothing where the reader is there already."""
        if self.position != position:
            self._assign(position)
            self._at_end, self._heard_at = set(), dict.fromkeys(position, time.monotonic())

    def _assign(self, position: Mapping[int, int]) -> None:
        from confluent_kafka import TopicPartition

        topic = self.address.topic
        self._consumer.assign([TopicPartition(topic, partition, offset) for partition, offset in position.items()])
        self.position = dict(position)

    def find_partitions(self, every_seconds: float) -> None:
        """Adds partitions that were created meanwhile, from their beginning; looks for them at a limited rate."""
        if time.monotonic() - self._listed_at < every_seconds:
            return
        self._listed_at = time.monotonic()
        for partition in self.stalled():
            about, offset = f"{self.address.public}[{partition}]", self.position[partition]
            _LOG.warning("%s: nothing has come since offset %d, though it is not the last", about, offset)
        try:
            added = [partition for partition in self.partitions() if partition not in self.position]
        except TopicUnreadable as error:
            self._troubles.check()
            _LOG.warning("%s; reading goes on with the partitions known", error)
            return
        if added:
            self.seek({**self.position, **dict.fromkeys(added, 0)})

    def poll(self, records: int, seconds: float) -> Arrived:
        """The records that have arrived, up to a limit. Raises `TopicUnreadable` for errors that waiting will not cure.

        Skipped are offsets that compaction removed and transaction markers; a gap is a range that the broker deleted
        before it was read.
        """
        from confluent_kafka import KafkaError

        arrived: list[Record] = []
        broken: dict[int, Any] = {}
        silent = self._is_silent()
        messages = self._consumer.consume(records, seconds)
        skipped, now = 0, time.monotonic()
        if silent and any(message.error() is None for message in messages):
            # A burst reaches its partitions one after the other: no partition counts as idle because another got its
            # records first.
            self._heard_at = dict.fromkeys(self._heard_at, now)
        for message in messages:
            error, partition, offset = message.error(), message.partition() or 0, message.offset() or 0
            if partition in broken:  # librdkafka's offsets after the damage cannot be trusted
                continue
            if error is None:
                arrived.append(_record(message))
                skipped += offset - self.position[partition]
                self.position[partition], self._heard_at[partition] = offset + 1, now
                self._at_end.discard(partition)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._at_end.add(partition)
                self.position[partition] = max(self.position[partition], offset)
            elif is_damage(error) or error.code() == KafkaError._AUTO_OFFSET_RESET:
                broken[partition] = message
            else:
                self._troubled(error)
        self._troubles.check()
        damages = [self._damage(message) for message in broken.values() if is_damage(message.error())]
        gaps = [self._gone(message) for message in broken.values() if not is_damage(message.error())]
        if broken or self._alone:
            self._alone = False
            self._assign(self.position)
        known = [damage for damage in damages if damage is not None]
        return Arrived(arrived, skipped, known, [gap for gap in gaps if gap.offsets])

    def _damage(self, message: Any) -> TopicDamage | None:
        """The records lost with a damaged batch, which are skipped; None where it must be tried again."""
        partition, batch = message.partition(), message.offset()
        first, (_, high) = max(self.position[partition], batch), self.bounds(partition)
        try:
            settings = consumer_settings(self.address)
            end = end_of_damage(settings, self.address.topic, partition, batch, first, high)
        except TimeoutError as error:
            _LOG.warning("%s: %s", self.address.public, error)
            return None
        self.position[partition] = end
        reason = message.error().str()
        return TopicDamage(partition, first, end, reason) if end > first else None

    def _gone(self, message: Any) -> Gap:
        """The gap between this reader's offset and the first one that the broker still has."""
        partition = message.partition()
        asked, (low, high) = self.position[partition], self.bounds(partition)
        if asked > high:
            raise TopicUnreadable(
                f"{self.address.public}[{partition}]: it ends at {high}, before offset {asked} where this job stands: "
                "the topic was made anew or cut off; next: another start in the topic's URI, such as start=earliest"
            )
        self.position[partition] = max(asked, low)
        return Gap(partition, asked, max(asked, low))

    def _troubled(self, error: Any) -> None:
        """While errors last no partition counts as idle, and after an outage only once its end is known again."""
        from confluent_kafka import KafkaError

        self._troubles.heard(error)
        self._heard_at = dict.fromkeys(self._heard_at, time.monotonic())
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._at_end.clear()
            self._alone = True  # librdkafka reports the end of a partition only once: the next poll requests it again

    def idle(self) -> set[int]:
        """Partitions read to their end that have delivered nothing for `idle_after`."""
        since = time.monotonic() - self.address.idle_after_us / 1e6
        return {partition for partition in self._at_end if self._heard_at[partition] <= since}

    def _is_silent(self) -> bool:
        """Whether no partition has delivered anything for `idle_after`."""
        return len(self.idle()) == len(self.position)

    def stalled(self) -> set[int]:
        """Partitions that are not read to their end and deliver nothing."""
        since = time.monotonic() - _STALL_SECONDS
        return {partition for partition, at in self._heard_at.items() if partition not in self._at_end and at <= since}

    def commit(self, position: Mapping[int, int]) -> None:
        """Commits to the group how far the topic was read; a failure is only logged, since the checkpoint decides."""
        from confluent_kafka import KafkaException, TopicPartition

        topic = self.address.topic
        reached = [TopicPartition(topic, partition, offset) for partition, offset in position.items()]
        try:
            self._consumer.commit(offsets=reached, asynchronous=False)
        except KafkaException as error:
            _LOG.warning("%s: offsets of group %s not committed: %s", self.address.public, self.address.group, error)

    def close(self) -> None:
        """Closes the connection to the broker."""
        self._consumer.close()


def _record(message: Any) -> Record:
    headers = message.headers()
    return Record(
        message.partition(),
        message.offset(),
        _bytes(message.key()),
        _bytes(message.value()),
        tuple((name, _bytes(value)) for name, value in headers) if headers else (),
    )


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
