"""Batches that a broker cannot return intact: where the next good one begins.

A producer writes records in batches with a checksum, often compressed. One that was damaged on disk fails every time:
librdkafka 2.16 requests it again for ever when it cannot be decompressed, and jumps to an invented offset after a wrong
checksum. So a reader that meets one asks here where to continue.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from models.daemons import OutOfTime, within

_ANSWER_SECONDS = 15.0
_PATIENCE_SECONDS = 5.0  # after which the same is requested again
_CLOSE_SECONDS = 5.0


class TopicDamage(NamedTuple):
    """Offsets of one partition, from `first` to before `end`, whose records nobody can read, and why."""

    partition: int
    first: int
    end: int
    reason: str


def is_damage(error: Any) -> bool:
    """Whether an error returned instead of a record means that the record's batch cannot be read."""
    from confluent_kafka import KafkaError

    return error.code() in (KafkaError._BAD_MSG, KafkaError._BAD_COMPRESSION, KafkaError._NOT_IMPLEMENTED)


def end_of_damage(settings: Mapping[str, Any], topic: str, partition: int, batch: int, first: int, high: int) -> int:
    """The first offset after the batch that begins at `batch`; `first` itself where that can be read after all.

    It requests offsets at doubling distances, then bisects: about ten answers for a batch of a thousand records. `high`
    is the end of the partition. Raises `TimeoutError` without an answer.
    """
    from confluent_kafka import Consumer

    consumer = Consumer(dict(settings))
    try:
        if not _within(consumer, topic, partition, first, batch):
            return first
        inside, step = first, 1
        while inside + step < high and _within(consumer, topic, partition, inside + step, batch):
            inside, step = inside + step, 2 * step
        beyond = min(inside + step, high)
        while beyond - inside > 1:
            middle = (inside + beyond) // 2
            if _within(consumer, topic, partition, middle, batch):
                inside = middle
            else:
                beyond = middle
        return beyond
    finally:
        _closed(consumer)


def _closed(consumer: Any) -> None:
    """Closes the consumer. librdkafka 2.16 was seen never to return from that after a damaged batch; the reader that
    asked must not wait for it."""
    with suppress(OutOfTime):
        within(_CLOSE_SECONDS, consumer.close, "close-kafka-probe")


def _within(consumer: Any, topic: str, partition: int, offset: int, batch: int) -> bool:
    """Whether a request for `offset` fails in the damaged batch that begins at `batch`."""
    from confluent_kafka import KafkaError, TopicPartition

    deadline = time.monotonic() + _ANSWER_SECONDS
    while time.monotonic() < deadline:
        # Each time: the error of an offset that librdkafka invented before may come first, and ends the request.
        consumer.assign([TopicPartition(topic, partition, offset)])
        message = consumer.poll(_PATIENCE_SECONDS)
        error = None if message is None else message.error()
        if message is not None and (error is None or error.code() == KafkaError._PARTITION_EOF):
            return False
        if error is not None and is_damage(error):
            return bool(message.offset() <= batch)
    raise TimeoutError(f"no answer for offset {offset} of partition {partition} after {_ANSWER_SECONDS:.0f} s")
