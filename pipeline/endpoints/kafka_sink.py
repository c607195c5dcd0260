"""WriteTopic: batches of records to a topic, one JSON object each, under keys that a retry repeats."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import apache_beam as beam
import pyarrow as pa

from pipeline.endpoints.kafka_address import KafkaAddress
from pipeline.endpoints.kafka_client import client_settings
from pipeline.endpoints.printing import json_lines

_FLUSH_SECONDS = 60.0
_ANSWER_SECONDS = 15.0
_QUEUE_FULL_SECONDS = 1.0


class TopicUnwritable(Exception):
    """Records could not be delivered; the message names the topic and the broker's reason."""


def check_topic_writable(address: KafkaAddress, place: str) -> None:
    """Raises `TopicUnwritable` unless the broker answers and has the topic."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    try:
        found = AdminClient(client_settings(address)).list_topics(address.topic, timeout=_ANSWER_SECONDS)
    except KafkaException as error:
        reason = error.args[0].str()
        raise TopicUnwritable(f"{place}: {address.public}: the broker does not answer ({reason})") from None
    problem = found.topics[address.topic].error
    if problem is not None:
        raise TopicUnwritable(f"{place}: {address.public} cannot be written ({problem.str()})")


def _score_key(row: Mapping[str, Any]) -> str:
    return str(row["score_id"])


def _model_event_key(row: Mapping[str, Any]) -> str:
    return f"{row['model']}|{row['version'] or ''}|{row['release'] or ''}|{row['kind']}"


def _drift_key(row: Mapping[str, Any]) -> str:
    parts = ("window_start", "window_end", "model", "version", "role", "segment", "column", "statistic")
    return "|".join(str(row[part]) for part in parts)


def _letter_key(row: Mapping[str, Any]) -> str:
    return hashlib.sha256(row["payload"]).hexdigest()[:32]


KEYS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "Score": _score_key,
    "Receipt": _score_key,
    "ModelEvent": _model_event_key,
    "DriftStatistic": _drift_key,
    "DeadLetter": _letter_key,
}


class _ProduceFn(beam.DoFn):
    def __init__(self, address: KafkaAddress, record: str) -> None:
        self._address, self._record = address, record

    def setup(self) -> None:
        from confluent_kafka import Producer

        # Idempotent: a retry inside the client neither repeats nor reorders. The linger makes batches of rows.
        settings = {"enable.idempotence": True, "linger.ms": 20, "compression.type": "lz4"}
        self._producer = Producer(settings | client_settings(self._address))

    def start_bundle(self) -> None:
        self._failure = ""

    def process(self, batch: pa.RecordBatch) -> None:
        for row, line in zip(batch.to_pylist(), json_lines(batch), strict=True):
            self._produce(KEYS[self._record](row).encode(), line.encode())
        self._producer.poll(0)

    def _produce(self, key: bytes, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(self._address.topic, value, key, on_delivery=self._delivered)
                return
            except BufferError:  # the broker is slower than the job: wait for it here, which slows the job
                self._producer.poll(_QUEUE_FULL_SECONDS)

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None:
            self._failure = error.str()

    def finish_bundle(self) -> None:
        left = self._producer.flush(_FLUSH_SECONDS)
        if self._failure or left:
            reason = self._failure or f"{left} records not acknowledged after {_FLUSH_SECONDS:.0f} s"
            raise TopicUnwritable(f"{self._address.public}: {reason}")


class WriteTopic(beam.PTransform[beam.PCollection[pa.RecordBatch], Any]):
    """Writes batches of a record to a topic as JSON objects.

    Input: batches in the record's Arrow schema, any windowing. A bundle ends when the broker has acknowledged all of
    it, and fails otherwise. A bundle that is retried writes its records again under the same keys (Score and Receipt:
    `score_id`; DeadLetter: the hash of the payload), so that readers and compacted topics can tell.
    """

    def __init__(self, address: KafkaAddress, record: str) -> None:
        super().__init__()
        self._address, self._record = address, record

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Any:
        return batches | "Produce" >> beam.ParDo(_ProduceFn(self._address, self._record))
