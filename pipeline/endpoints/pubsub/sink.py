"""WriteMessages: publishes batches of records to a Pub/Sub topic, one JSON object for each record, with attributes to
filter by."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.io.gcp.pubsub import PubsubMessage, WriteToPubSub

from models.distribution import installing
from models.errors import one_line
from pipeline.endpoints.json_rows import json_rows
from pipeline.endpoints.kafka.sink import KEYS, TopicUnwritable
from pipeline.endpoints.pubsub.address import PubsubAddress

_ANSWER_SECONDS = 15.0
# Of the 10 MB that a message may have, including attributes and framing.
_MOST_BYTES = 9_500_000
# Attributes that a subscription may filter by; the rules for names keep them short.
_FILTERS = ("model", "version", "role", "kind", "stage")


def check_writable(address: PubsubAddress, spec_path: str) -> None:
    """Raises `TopicUnwritable` unless the service has the topic and allows reading its description."""
    try:
        from google.api_core.exceptions import GoogleAPICallError
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.pubsub_v1 import PublisherClient
    except ImportError as error:
        raise TopicUnwritable(f"{spec_path}: {address.public}: {error}; {installing('gcp')}") from None
    try:
        PublisherClient().get_topic(topic=address.path, timeout=_ANSWER_SECONDS)
    except (GoogleAPICallError, GoogleAuthError) as error:
        reason = one_line(error)
        raise TopicUnwritable(f"{spec_path}: {address.public} cannot be written: {reason}") from None


def attributes_of(row: Mapping[str, Any], record: str) -> dict[str, str]:
    """`record`, `id` (which a retry repeats; for Score and Receipt the `score_id`) and the attributes for filters."""
    key = KEYS[record].of_row(row)
    # An attribute has at most 1,024 bytes, and some keys hold values of the events.
    identity = {"score_id": key, "id": key} if "score_id" in row else {"id": _hashed(key)}
    filters = {name: str(row[name]) for name in _FILTERS if row.get(name) is not None}
    return {"record": record, **identity, **filters}


def _hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def messages_of(batch: pa.RecordBatch, record: str) -> Iterator[PubsubMessage]:
    """A message for each row. A row that is too long for one is split over several, each with its `part` of the JSON
    text."""
    for row, data in zip(batch.to_pylist(), json_rows(batch), strict=True):
        attributes = attributes_of(row, record)
        parts = [data[start : start + _MOST_BYTES] for start in range(0, len(data), _MOST_BYTES)]
        for number, part in enumerate(parts, 1):
            whole = {} if len(parts) == 1 else {"part": f"{number}/{len(parts)}"}
            yield PubsubMessage(part, attributes | whole)


class _MessagesFn(beam.DoFn):
    def __init__(self, record: str) -> None:
        self._record = record

    def process(self, batch: pa.RecordBatch) -> Iterator[PubsubMessage]:
        yield from messages_of(batch, self._record)


class WriteMessages(beam.PTransform[beam.PCollection[pa.RecordBatch], Any]):
    """Publishes batches of a record with Beam's own sink, which Dataflow replaces by its service's in streams.

    Input: batches in the record's Arrow schema, any windowing. Each message is a JSON object, its attributes are those
    of `attributes_of`. A bundle that is retried publishes its messages again under the same `id`: a Beam job that
    reads them drops the repetition by `id_attribute=id`.
    """

    def __init__(self, address: PubsubAddress, record: str) -> None:
        super().__init__()
        self._address, self._record = address, record

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Any:
        making = beam.ParDo(_MessagesFn(self._record)).with_output_types(PubsubMessage)
        return batches | "Messages" >> making | "Publish" >> WriteToPubSub(self._address.path, with_attributes=True)
