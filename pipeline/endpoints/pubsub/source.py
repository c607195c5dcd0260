"""ReadMessages: a Pub/Sub subscription as raw blocks, one per bundle or 5,000 messages."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.io.gcp.pubsub import PubsubMessage, ReadFromPubSub
from apache_beam.transforms.window import GlobalWindow, TimestampedValue
from apache_beam.utils.timestamp import MAX_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from models.distribution import installing
from models.errors import one_line
from pipeline.endpoints.errors import NoInput
from pipeline.endpoints.framing import framed
from pipeline.endpoints.pubsub.address import SUBSCRIPTIONS, PubsubAddress
from schemas.formats.envelopes.event_batches import unbatched
from schemas.formats.raw import RawBlock

_MOST_MESSAGES = 5_000
_MOST_BYTES = 4 * 1024 * 1024
_ANSWER_SECONDS = 15.0


class SubscriptionUnreadable(NoInput):
    """The service does not answer or refuses, or the subscription or topic is not there; the message names it."""


class MessageOrigin(NamedTuple):
    """Which message a record is of; its attributes as headers."""

    offset: str
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def blocks_of(
    messages: Sequence[PubsubMessage], address: PubsubAddress, format_name: str, envelope: str | None = None
) -> list[RawBlock]:
    """The messages as one block, and one with `error` for each message without data; of batches of CloudEvents each
    event is a record of the block."""
    filled = [message for message in messages if message.data]
    blocks = [_empty(message, address) for message in messages if not message.data]
    if filled:
        source = f"{address.public}@{filled[0].message_id}"
        values = [message.data for message in filled]
        values, origins = unbatched(values, list(map(_origin, filled)), format_name, envelope)
        blocks.append(framed(values, source, address.schema, format_name, tuple(origins)))
    return blocks


def _origin(message: PubsubMessage) -> MessageOrigin:
    attributes = tuple((name, text.encode()) for name, text in (message.attributes or {}).items())
    return MessageOrigin(str(message.message_id), None, attributes)


def _empty(message: PubsubMessage, address: PubsubAddress) -> RawBlock:
    error = f"a message without data, with the attributes {message.attributes!r:.200}, which is not an event"
    return RawBlock(f"{address.public}@{message.message_id}", error=error)


class _BatchFn(beam.DoFn):
    """Gathers the messages of a bundle. The timestamp of a block is the earliest time among its messages, so that
    gathering makes none late."""

    def __init__(self, address: PubsubAddress, format_name: str, envelope: str | None) -> None:
        self._address, self._format, self._envelope = address, format_name, envelope

    def start_bundle(self) -> None:
        self._messages: list[PubsubMessage] = []
        self._bytes, self._earliest = 0, MAX_TIMESTAMP

    def process(self, message: PubsubMessage, time: Any = beam.DoFn.TimestampParam) -> Iterator[Any]:
        self._messages.append(message)
        self._bytes += len(message.data or b"")
        self._earliest = min(time, self._earliest)
        if len(self._messages) >= _MOST_MESSAGES or self._bytes >= _MOST_BYTES:
            at = self._earliest
            for block in self._taken():
                yield TimestampedValue(block, at)

    def finish_bundle(self) -> Iterator[Any]:
        at = self._earliest
        for block in self._taken():
            yield WindowedValue(block, at, (GlobalWindow(),))

    def _taken(self) -> list[RawBlock]:
        messages = self._messages
        self.start_bundle()
        return blocks_of(messages, self._address, self._format, self._envelope)


class ReadMessages(beam.PTransform[beam.pvalue.PBegin, beam.PCollection[RawBlock]]):
    """Reads messages by Beam's own source (which Dataflow replaces by its service's) as raw blocks.

    Input: the pipeline's begin. Output: `RawBlock`, unbounded, global window, each stamped with the earliest time of
    its messages. The time of a message is its `timestamp_attribute`, from which the runner makes the watermark: the
    spec's bound on disorder is not used. With `id_attribute` Dataflow delivers a message that was published twice once;
    other runners refuse the option. A message without data becomes a block with `error`.
    """

    def __init__(self, address: PubsubAddress, format_name: str, envelope: str | None = None) -> None:
        super().__init__()
        self._address, self._format, self._envelope = address, format_name, envelope

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[RawBlock]:
        address = self._address
        of_subscription = address.kind == SUBSCRIPTIONS
        reading = ReadFromPubSub(
            topic=None if of_subscription else address.path,
            subscription=address.path if of_subscription else None,
            id_label=address.id_attribute,
            with_attributes=True,
            timestamp_attribute=address.timestamp_attribute,
        )
        batch = beam.ParDo(_BatchFn(address, self._format, self._envelope)).with_output_types(RawBlock)
        blocks: beam.PCollection[RawBlock] = begin | "Messages" >> reading | "Batch" >> batch
        return blocks


def check_readable(address: PubsubAddress) -> None:
    """Raises `SubscriptionUnreadable` unless the service has the subscription or topic and allows reading its
    description."""
    try:
        from google.api_core.exceptions import GoogleAPICallError
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
    except ImportError as error:
        raise SubscriptionUnreadable(f"{address.public}: {error}; {installing('gcp')}") from None
    try:
        if address.kind == SUBSCRIPTIONS:
            with SubscriberClient() as subscriber:
                subscriber.get_subscription(subscription=address.path, timeout=_ANSWER_SECONDS)
        else:
            PublisherClient().get_topic(topic=address.path, timeout=_ANSWER_SECONDS)
    except (GoogleAPICallError, GoogleAuthError) as error:
        raise SubscriptionUnreadable(f"{address.public} cannot be read: {one_line(error)}") from None
