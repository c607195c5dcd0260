"""WriteTopic: writes batches of records to a topic, one JSON object for each record, with keys that a retry repeats."""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa

from pipeline.endpoints.errors import SinkUnwritable
from pipeline.endpoints.json_rows import json_rows
from pipeline.endpoints.kafka.address import KafkaAddress
from pipeline.endpoints.kafka.client import TopicUnreadable, Troubles, client_settings
from schemas import batches
from transforms.flow import metrics
from transforms.flow.gathering import WHOLE_ROWS

# The sink waits for a slow broker; one that accepts no record for this long fails the bundle.
_SILENT_SECONDS = 60.0
_ANSWER_SECONDS = 15.0
_ASK_SECONDS = 1.0
# How many records may wait for the broker in memory before the job waits. librdkafka's own bounds are 100,000 and 1 GB.
_WAITING_RECORDS = 10_000
# The client's limit; the broker decides what a topic accepts.
_LARGEST_BYTES = 64 * 1024 * 1024
_WAITING_KB = 2 * _LARGEST_BYTES // 1024


class TopicUnwritable(SinkUnwritable):
    """Records could not be delivered; the message names the topic and the broker's reason."""


def check_topic_writable(address: KafkaAddress, spec_path: str) -> None:
    """Raises `TopicUnwritable` unless the broker answers and has the topic."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    troubles, deadline = Troubles(address), time.monotonic() + _ANSWER_SECONDS
    about, found = f"{spec_path}: {address.public}", None
    try:
        admin = AdminClient(client_settings(address) | {"error_cb": troubles.heard})
    except KafkaException as error:
        raise TopicUnwritable(f"{about}: {error.args[0].str()}") from None
    except TopicUnreadable as error:  # a secret that is not in the environment
        raise TopicUnwritable(f"{spec_path}: {error}") from None
    while found is None:
        try:
            found = admin.list_topics(address.topic, timeout=_ASK_SECONDS)
        except KafkaException as error:
            admin.poll(0)
            if troubles.lasting or time.monotonic() > deadline:
                reason = troubles.lasting or troubles.latest or error.args[0].str()
                raise TopicUnwritable(f"{about}: the broker does not answer ({reason})") from None
    problem = found.topics[address.topic].error
    if problem is not None:
        raise TopicUnwritable(f"{about} cannot be written ({problem.str()})")


def _model_event_key(model: str, version: str | None, release: str | None, kind: str, evidence: str) -> str:
    if not model:  # events of a run: each is different, and a compacted topic must keep it
        return f"{kind}|{hashlib.sha256(evidence.encode()).hexdigest()[:32]}"
    return f"{model}|{version or ''}|{release or ''}|{kind}"


def _joined_key(*parts: Any) -> str:
    return "|".join(map(str, parts))


def _letter_key(payload: bytes, detail: str) -> str:
    # Records without a value all have the same payload; their details name the offset.
    return hashlib.sha256(payload or detail.encode()).hexdigest()[:32]


class RecordKey(NamedTuple):
    """The columns that make up a record's key, and the function that makes the key of their values."""

    columns: tuple[str, ...]
    of: Callable[..., str]

    def of_row(self, row: Mapping[str, Any]) -> str:
        """The key of one record."""
        return self.of(*(row[column] for column in self.columns))


_OF_DRIFT = ("window_start", "window_end", "model", "version", "role", "segment", "column", "statistic")
_OF_QUALITY = ("window_start", "window_end", "model", "version", "role", "segment", "metric", "against")
_SCORE = RecordKey(("score_id",), str)
KEYS: Mapping[str, RecordKey] = {
    "Score": _SCORE,
    "Receipt": _SCORE,
    "ModelEvent": RecordKey(("model", "version", "release", "kind", "evidence"), _model_event_key),
    "DriftStatistic": RecordKey(_OF_DRIFT, _joined_key),
    "Quality": RecordKey(_OF_QUALITY, _joined_key),
    "DeadLetter": RecordKey(("payload", "detail"), _letter_key),
}


def keys_of(batch: pa.RecordBatch, record: str) -> Iterator[str]:
    """A key for each row, which a retry repeats."""
    key = KEYS[record]
    return map(key.of, *(batch.column(column).to_pylist() for column in key.columns))


def shortened(letter: bytes) -> bytes:
    """A dead letter in JSON without its payload, with a note of that."""
    row = json.loads(letter)
    size = len(base64.b64decode(row["payload"]))
    row["detail"] = f"{row['detail']}; its payload of {size} bytes is left out: this topic takes none so large"
    return json.dumps(row | {"payload": ""}).encode()


class _ProduceFn(beam.DoFn):
    def __init__(self, address: KafkaAddress, record: str) -> None:
        self._address, self._record = address, record

    def setup(self) -> None:
        from confluent_kafka import KafkaError, Producer

        self._full_code, self._size_code = KafkaError._QUEUE_FULL, KafkaError.MSG_SIZE_TOO_LARGE
        # Idempotent: a retry inside the client neither repeats nor reorders records. The linger time makes batches of
        # rows.
        settings = {"enable.idempotence": True, "linger.ms": 20, "compression.type": "lz4"}
        limits = {
            "message.max.bytes": _LARGEST_BYTES,
            "queue.buffering.max.messages": _WAITING_RECORDS,
            "queue.buffering.max.kbytes": _WAITING_KB,
            # No record is given up because of its age while others are accepted: `_SILENT_SECONDS` decides.
            "message.timeout.ms": 0,
            # A callback for each delivered record would cost as much as sending it.
            "delivery.report.only.error": True,
        }
        self._troubles = Troubles(self._address)
        self._producer = Producer(
            settings | limits | client_settings(self._address) | {"error_cb": self._troubles.heard}
        )

    def start_bundle(self) -> None:
        self._gathered: list[pa.RecordBatch] = []
        self._rows, self._bytes = 0, 0
        self._failure = ""
        self._too_large: list[tuple[bytes, bytes]] = []

    def process(self, batch: pa.RecordBatch) -> None:
        self._gathered.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= WHOLE_ROWS or self._bytes >= batches.WHOLE_BYTES:
            self._send()

    def _send(self) -> None:
        """Batches are merged, since JSON is made by column: small batches would cost as much as large ones."""
        gathered, self._gathered, self._rows, self._bytes = self._gathered, [], 0, 0
        if not gathered:
            return
        batch = batches.concat_batches(gathered)
        rows = zip(keys_of(batch, self._record), json_rows(batch), strict=True)
        self._produce([_message(key.encode(), value) for key, value in rows])
        self._producer.poll(0)

    def _produce(self, messages: list[dict[str, Any]]) -> None:
        while messages:
            self._producer.produce_batch(self._address.topic, messages, on_delivery=self._delivered)
            left, messages = [message for message in messages if "_error" in message], []
            for message in left:
                error = message.pop("_error")
                if error.code() == self._full_code:
                    messages.append(message)
                else:
                    self._refused(error, message["key"], message["value"])
            if messages:  # the broker is slower than the job: waiting here slows the job down
                self._wait(self._producer.poll, len(self._producer) // 2)

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None:
            self._refused(error, message.key(), message.value())

    def _refused(self, error: Any, key: bytes, value: bytes) -> None:
        if error.code() == self._size_code:
            self._too_large.append((key, value))
        else:
            self._failure = self._with_reason(error.str())

    def finish_bundle(self) -> None:
        self._send()
        self._flush()
        # The broker refuses batches, not records: each record is tried alone first.
        together, self._too_large = self._too_large, []
        for key, value in together:
            self._produce([_message(key, value)])
            self._flush()
        alone, self._too_large = self._too_large, []
        for key, value in alone:
            self._send_shortened(key, value)
            self._flush()
        self._check_sizes()

    def _send_shortened(self, key: bytes, value: bytes) -> None:
        if self._record == "DeadLetter":
            metrics.counter(metrics.DEAD_LETTERS_SHORTENED).inc()
            self._produce([_message(key, shortened(value))])
        else:
            self._too_large.append((key, value))

    def _check_sizes(self) -> None:
        if self._too_large:
            key, value = self._too_large[0]
            raise TopicUnwritable(
                f"{self._address.public}: the topic takes no record of {len(value)} bytes (key {key.decode()}); "
                "next: raise its max.message.bytes"
            )

    def _flush(self) -> None:
        self._wait(self._producer.flush, 0)

    def _wait(self, serve: Callable[[float], int], most: int) -> None:
        """Waits until at most this many records are in flight; raises `TopicUnwritable` for one that failed.

        However slow the broker is, it is given up only when it has accepted no record for a minute.
        """
        heard_at, before = time.monotonic(), len(self._producer)
        while (waiting := len(self._producer)) > most and not self._failure:
            if waiting < before:
                heard_at, before = time.monotonic(), waiting
            serve(_ASK_SECONDS)
            if time.monotonic() - heard_at > _SILENT_SECONDS:
                silence = f"no record acknowledged for {_SILENT_SECONDS:.0f} s, {waiting} wait"
                self._failure = self._failure or self._with_reason(silence)
        if self._failure:
            raise TopicUnwritable(f"{self._address.public}: {self._failure}")

    def _with_reason(self, said: str) -> str:
        return f"{said} ({self._troubles.latest})" if self._troubles.latest else said


def _message(key: bytes, value: bytes) -> dict[str, Any]:
    """In the form that the client accepts for batches."""
    return {"key": key, "value": value}


class WriteTopic(beam.PTransform[beam.PCollection[pa.RecordBatch], Any]):
    """Writes batches of a record to a topic as JSON objects.

    Input: batches in the record's Arrow schema, any windowing. A bundle ends when the broker has acknowledged all of
    it, and fails otherwise. A dead letter too large for the topic is written without its payload, and counted in
    `dead_letters_shortened`; any other record too large fails its bundle. A bundle that is retried writes its records
    again under the same keys (Score and Receipt: `score_id`; DeadLetter: the hash of the payload), by which readers and
    compacted topics recognise repetitions.
    """

    def __init__(self, address: KafkaAddress, record: str) -> None:
        super().__init__()
        self._address, self._record = address, record

    def expand(self, records: beam.PCollection[pa.RecordBatch]) -> Any:
        return records | "Produce" >> beam.ParDo(_ProduceFn(self._address, self._record))
