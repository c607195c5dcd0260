"""Consumers of topics: made once per worker process, handed from bundle to bundle, and what they know of idleness."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from pipeline.endpoints.files import NoInput
from pipeline.endpoints.kafka_address import COMMITTED, EARLIEST, LATEST, KafkaAddress
from schemas.times import parse_time_us

_LOG = logging.getLogger(__name__)
_ANSWER_SECONDS = 15.0
_DEFAULT_GROUP = "halflife"
# Fetched ahead per consumer; librdkafka's default is 64 MB, and a process may hold several.
_AHEAD_KB = 16_384
_LARGEST_RECORD = 32 * 1024 * 1024


class TopicUnreadable(NoInput):
    """The broker does not answer or refuses, or the topic is not there; the message names both."""


def client_settings(address: KafkaAddress) -> dict[str, Any]:
    """librdkafka's settings for any client of this address."""
    return {"bootstrap.servers": address.bootstrap, "log_level": 2, **dict(address.client)}


class Record(NamedTuple):
    """One record of a topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class TopicReader:
    """One consumer of all partitions of a topic. Not thread-safe; `shared_readers` hands it to one user at a time."""

    def __init__(self, address: KafkaAddress) -> None:
        from confluent_kafka import Consumer

        self.address = address
        self.position: dict[int, int] = {}
        self._at_end: set[int] = set()
        self._heard_at: dict[int, float] = {}
        self._listed_at = time.monotonic()
        settings = {
            "group.id": address.group or _DEFAULT_GROUP,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            # Offsets that the broker has deleted are reported as skipped, not silently jumped over.
            "auto.offset.reset": "earliest",
            "queued.max.messages.kbytes": _AHEAD_KB,
            "fetch.message.max.bytes": _LARGEST_RECORD,
            "receive.message.max.bytes": 2 * _LARGEST_RECORD,
            "error_cb": self._troubled,
        }
        self._consumer = Consumer(settings | client_settings(address))

    def partitions(self) -> list[int]:
        """The topic's partitions. Raises `TopicUnreadable`."""
        from confluent_kafka import KafkaException

        address = self.address
        try:
            found = self._consumer.list_topics(address.topic, timeout=_ANSWER_SECONDS).topics[address.topic]
        except KafkaException as error:
            raise TopicUnreadable(f"{address.public}: the broker does not answer ({error.args[0].str()})") from None
        if found.error is not None or not found.partitions:
            reason = "it has no partitions" if found.error is None else found.error.str()
            raise TopicUnreadable(f"{address.public}: the topic cannot be read ({reason})")
        self._listed_at = time.monotonic()
        return sorted(found.partitions)

    def start_offsets(self) -> dict[int, int]:
        """Where `start` of the address is on each partition. Raises `TopicUnreadable`."""
        partitions, start = self.partitions(), self.address.start
        if start in (EARLIEST, LATEST):
            return {partition: self.bounds(partition)[start == LATEST] for partition in partitions}
        found = self._committed(partitions) if start == COMMITTED else self._at_time(partitions, parse_time_us(start))
        # Nothing committed yet: from the beginning. No record as late as the time: from the end.
        instead = 0 if start == COMMITTED else 1
        return {place: offset if offset >= 0 else self.bounds(place)[instead] for place, offset in found.items()}

    def bounds(self, partition: int) -> tuple[int, int]:
        """The first offset kept and the one after the last. Raises `TopicUnreadable`."""
        from confluent_kafka import KafkaException, TopicPartition

        try:
            low, high = self._consumer.get_watermark_offsets(
                TopicPartition(self.address.topic, partition), timeout=_ANSWER_SECONDS
            )
        except KafkaException as error:
            raise TopicUnreadable(f"{self.address.public}[{partition}]: {error.args[0].str()}") from None
        return low, high

    def _committed(self, partitions: list[int]) -> dict[int, int]:
        from confluent_kafka import TopicPartition

        wanted = [TopicPartition(self.address.topic, partition) for partition in partitions]
        return {found.partition: found.offset for found in self._consumer.committed(wanted, timeout=_ANSWER_SECONDS)}

    def _at_time(self, partitions: list[int], time_us: int) -> dict[int, int]:
        from confluent_kafka import TopicPartition

        wanted = [TopicPartition(self.address.topic, partition, time_us // 1000) for partition in partitions]
        found = self._consumer.offsets_for_times(wanted, timeout=_ANSWER_SECONDS)
        return {place.partition: place.offset for place in found}

    def seek(self, position: Mapping[int, int]) -> None:
        """Continues at these offsets, which costs nothing where it stands there already."""
        from confluent_kafka import TopicPartition

        if self.position == position:
            return
        topic, now = self.address.topic, time.monotonic()
        self._consumer.assign([TopicPartition(topic, partition, offset) for partition, offset in position.items()])
        self.position, self._at_end = dict(position), set()
        self._heard_at = dict.fromkeys(position, now)

    def find_partitions(self, every_seconds: float) -> None:
        """Adds partitions that were created meanwhile, from their beginning; looks at most every so many seconds."""
        if time.monotonic() - self._listed_at < every_seconds:
            return
        self._listed_at = time.monotonic()
        try:
            added = [partition for partition in self.partitions() if partition not in self.position]
        except TopicUnreadable as error:
            _LOG.warning("%s; reading goes on with the partitions known", error)
            return
        if added:
            self.seek({**self.position, **dict.fromkeys(added, 0)})

    def poll(self, records: int, seconds: float) -> tuple[list[Record], int]:
        """What has arrived, at most so many records, and how many offsets were skipped.

        Skipped are records that the broker deleted before they were read, and the gaps of compaction.
        Raises `TopicUnreadable` for errors that do not pass by themselves.
        """
        from confluent_kafka import KafkaError

        arrived: list[Record] = []
        skipped, now = 0, time.monotonic()
        for message in self._consumer.consume(records, seconds):
            error, partition, offset = message.error(), message.partition() or 0, message.offset() or 0
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                self._at_end.add(partition)
                self.position[partition] = max(self.position[partition], offset)
            elif error is not None:
                self._troubled(error)
            else:
                arrived.append(Record(partition, offset, _bytes(message.key()), _bytes(message.value())))
                skipped += offset - self.position[partition]
                self.position[partition], self._heard_at[partition] = offset + 1, now
                self._at_end.discard(partition)
        return arrived, skipped

    def _troubled(self, error: Any) -> None:
        """Errors that pass by themselves are logged, and while they last no partition counts as idle."""
        from confluent_kafka import KafkaError

        lasting = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError._AUTHENTICATION)
        if error.fatal() or error.code() in lasting:
            raise TopicUnreadable(f"{self.address.public}: {error.str()}")
        _LOG.warning("%s: %s", self.address.public, error.str())
        self._heard_at = dict.fromkeys(self._heard_at, time.monotonic())

    def idle(self) -> set[int]:
        """Partitions read to their end from which nothing has come for `idle_after`."""
        since = time.monotonic() - self.address.idle_after_us / 1e6
        return {partition for partition in self._at_end if self._heard_at[partition] <= since}

    def commit(self, position: Mapping[int, int]) -> None:
        """Records in the group how far the topic was read; a failure is logged: the checkpoint is what counts."""
        from confluent_kafka import KafkaException, TopicPartition

        topic = self.address.topic
        places = [TopicPartition(topic, partition, offset) for partition, offset in position.items()]
        try:
            self._consumer.commit(offsets=places, asynchronous=False)
        except KafkaException as error:
            _LOG.warning("%s: offsets of group %s not committed: %s", self.address.public, self.address.group, error)

    def close(self) -> None:
        """Leaves the broker."""
        self._consumer.close()


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


_idle_readers: dict[KafkaAddress, list[TopicReader]] = {}
_lock = threading.Lock()


@contextmanager
def shared_reader(address: KafkaAddress, position: Mapping[int, int]) -> Iterator[TopicReader]:
    """A reader at this position that nobody else in the process uses: connecting takes longer than reading."""
    with _lock:
        free = _idle_readers.setdefault(address, [])
        chosen = next((reader for reader in free if reader.position == position), free[-1] if free else None)
        if chosen is not None:
            free.remove(chosen)
    reader = TopicReader(address) if chosen is None else chosen
    try:
        if position:
            reader.seek(position)
        yield reader
    except BaseException:
        reader.close()
        raise
    with _lock:
        _idle_readers.setdefault(address, []).append(reader)


def commit(address: KafkaAddress, position: Mapping[int, int]) -> None:
    """Commits offsets to the group of the address, once the bundle that read them is safe in a checkpoint."""
    with shared_reader(address, position) as reader:
        reader.commit(position)
