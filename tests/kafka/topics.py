"""Topics with names of their own on a real broker, records in them, and what is in them."""

import json
import time
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, not declared so
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from pipeline.endpoints.kafka.address import KafkaAddress, kafka_address
from runners.flink.local.broker import KafkaBroker
from schemas.times import parse_time_us

START_US = parse_time_us("2026-01-01T00:00:00Z")


def event(number: int, minute: float = 0.0) -> bytes:
    """A JSON event `e<number>` so many minutes after the start."""
    at_us = START_US + int(minute * 60_000_000)
    return json.dumps({"id": f"e{number}", "at": at_us, "delay": float(number)}).encode()


class Topics:
    """Makes topics on a broker, writes to them and reads them."""

    def __init__(self, broker: KafkaBroker) -> None:
        self.broker = broker
        self._admin = AdminClient({"bootstrap.servers": broker.bootstrap})

    def create(self, partitions: int = 1, **config: str) -> str:
        """A new topic; `config` are its settings, with `_` for `.`."""
        topic = f"t-{uuid.uuid4().hex[:8]}"
        settings = {name.replace("_", "."): value for name, value in config.items()}
        made = self._admin.create_topics([NewTopic(topic, partitions, 1, config=settings)])
        made[topic].result(30)
        return topic

    def widen(self, topic: str, partitions: int) -> None:
        """Adds partitions up to this number, and waits until the broker reports them: its controller knows them
        first."""
        self._admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(30)
        until = time.monotonic() + 30
        while len(self._admin.list_topics(topic, 30).topics[topic].partitions) != partitions:
            assert time.monotonic() < until, f"{topic} has no {partitions} partitions"

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Has the broker delete the records of a partition before an offset, as retention does."""
        partition_at = TopicPartition(topic, partition, offset)
        self._admin.delete_records([partition_at])[partition_at].result(30)

    def allow(self, topic: str, user: str) -> None:
        """Lets a user read and write a topic, in any group."""
        rights = [(ResourceType.TOPIC, topic, AclOperation.ALL), (ResourceType.GROUP, "*", AclOperation.READ)]
        for kind, name, operation in rights:
            literal, allow = ResourcePatternType.LITERAL, AclPermissionType.ALLOW
            rule = AclBinding(kind, name, literal, f"User:{user}", "*", operation, allow)
            self._admin.create_acls([rule])[rule].result(30)

    def delete(self, topic: str) -> None:
        """Deletes a topic."""
        self._admin.delete_topics([topic])[topic].result(30)

    def write(
        self, topic: str, values: Iterable[bytes | None], partition: int = 0, compression: str = "none", **options: Any
    ) -> None:
        """Values as records of one partition, in order and in one batch; `options` are those of `Producer.produce`.

        A batch is sent once it holds all of them: a flush sends what is there, which can be the first record alone.
        """
        values = list(values)
        settings = {"message.max.bytes": 64_000_000, "compression.type": compression, "linger.ms": 1000}
        settings |= {"batch.num.messages": max(1, len(values))}
        producer = Producer({"bootstrap.servers": self.broker.bootstrap} | settings)
        failed: list[str] = []

        def told(error: Any, _: Message) -> None:
            if error is not None:
                failed.append(str(error))

        for value in values:
            producer.produce(topic, value, partition=partition, on_delivery=told, **options)
            producer.poll(0)
        until = time.monotonic() + 30
        while len(producer):
            assert time.monotonic() < until, f"{len(producer)} of {len(values)} records are not in {topic}"
            producer.poll(0.1)
        assert failed == []

    def address(self, topic: str, query: str = "", protocol: str | None = None) -> KafkaAddress:
        """What a job's URI of the topic means."""
        hosts = self.broker.bootstrap if protocol is None else self.broker.secured(protocol)
        return kafka_address(f"kafka://{hosts}/{topic}{query}", "events.uri")

    def read(self, topic: str) -> list[Message]:
        """All records that the topic holds now, partition by partition."""
        settings = {"group.id": "tests", "fetch.message.max.bytes": 64_000_000}
        consumer = Consumer({"bootstrap.servers": self.broker.bootstrap} | settings)
        found: list[Message] = []
        try:
            for partition in consumer.list_topics(topic, 30).topics[topic].partitions:
                partition_at = TopicPartition(topic, partition, 0)
                _, end = consumer.get_watermark_offsets(partition_at, 30)
                consumer.assign([partition_at])
                found += _until(consumer, end)
        finally:
            consumer.close()
        return found

    def committed(self, topic: str, group: str, partitions: Sequence[int] = (0,)) -> dict[int, int]:
        """The offsets committed by a group; -1001 where there is none."""
        consumer = Consumer({"bootstrap.servers": self.broker.bootstrap, "group.id": group})
        try:
            wanted = [TopicPartition(topic, partition) for partition in partitions]
            offsets = next(filter(None, (_committed(consumer, wanted) for _ in range(300))))
        finally:
            consumer.close()
        return {partition_at.partition: partition_at.offset for partition_at in offsets}


def _committed(consumer: Consumer, wanted: list[TopicPartition]) -> list[TopicPartition]:
    """What is committed; nothing while the broker finds out who keeps the groups, which it does when first asked."""
    try:
        return consumer.committed(wanted, 30)
    except KafkaException as error:
        if error.args[0].code() not in (KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS):
            raise
        consumer.poll(0.1)
        return []


def _until(consumer: Consumer, end: int) -> list[Message]:
    found: list[Message] = []
    while end and (not found or (found[-1].offset() or 0) < end - 1):
        message = consumer.poll(30)
        assert message is not None, "the broker sent nothing for 30 s"
        assert message.error() is None, message.error()
        found.append(message)
    return found
