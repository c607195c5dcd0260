"""Where events come from, by the scheme of the URI: files, a topic of Kafka, or a subscription of Pub/Sub."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import apache_beam as beam

from pipeline.endpoints.files.source import ReadFiles, read_file
from pipeline.endpoints.kafka import address as kafka_address
from pipeline.endpoints.kafka import source as kafka
from pipeline.endpoints.kafka.address import KafkaAddress
from pipeline.endpoints.matching import matching_files
from pipeline.endpoints.pubsub import address as pubsub_address
from pipeline.endpoints.pubsub import source as pubsub
from pipeline.endpoints.pubsub.address import PubsubAddress
from pipeline.endpoints.uris import FILE_SCHEMES, scheme_of
from schemas.formats.raw import RawBlock
from schemas.job import EventsSpec
from schemas.validation import Absent, SpecError

SCHEMES = (*FILE_SCHEMES, kafka_address.SCHEME, pubsub_address.SCHEME)


class EventSource(Protocol):
    """A source of events that exists and can be reached."""

    @property
    def bounded(self) -> bool: ...
    @property
    def only_on(self) -> str | None:
        """The one runner that reads it; None where all do."""

    def describe(self) -> str: ...
    def sample(self) -> Iterator[RawBlock]: ...
    def read(self, spec: EventsSpec) -> beam.PTransform[Any, Any]: ...


@dataclass(frozen=True, slots=True)
class Files:
    """Files that match a URI."""

    uri: str
    format: str
    paths: tuple[str, ...]
    bounded: bool = True
    only_on: str | None = None

    def describe(self) -> str:
        return f"{len(self.paths)} file(s) of {self.uri}"

    def sample(self) -> Iterator[RawBlock]:
        for path in self.paths:
            yield from read_file(path, self.format, sample=True)

    def read(self, spec: EventsSpec) -> beam.PTransform[Any, Any]:
        return ReadFiles(list(self.paths), spec.format)


@dataclass(frozen=True, slots=True)
class Topic:
    """A Kafka topic."""

    address: KafkaAddress
    format: str
    only_on: str | None = None

    @property
    def bounded(self) -> bool:
        return self.address.bounded

    def describe(self) -> str:
        end = "as far as it reaches now" if self.bounded else "until the job is cancelled"
        return f"{self.address.public} from {self.address.start}, {end}"

    def sample(self) -> Iterator[RawBlock]:
        return kafka.first_blocks(self.address, self.format)

    def read(self, spec: EventsSpec) -> beam.PTransform[Any, Any]:
        return kafka.ReadTopic(self.address, spec)


@dataclass(frozen=True, slots=True)
class Messages:
    """A Pub/Sub subscription or topic, without end. Beam's Python SDK leaves the reading to Dataflow's service."""

    address: PubsubAddress
    format: str
    bounded: bool = False
    only_on: str | None = "DataflowRunner"

    def describe(self) -> str:
        return f"{self.address.public}, until the job is cancelled"

    def sample(self) -> Iterator[RawBlock]:
        """Empty: looking at messages would consume them; the spec states the columns (`check_events`)."""
        return iter(())

    def read(self, spec: EventsSpec) -> beam.PTransform[Any, Any]:
        return pubsub.ReadMessages(self.address, spec.format)


def open_source(events: Mapping[str, Any]) -> EventSource:
    """The source of a job's `events`.

    Raises:
        SpecError: the URI has a value that is not allowed.
        NoInput, TopicUnreadable: there is nothing to read, or the service does not answer.
    """
    return _OPENERS.get(scheme_of(events["uri"]), _files)(events)


def _files(events: Mapping[str, Any]) -> EventSource:
    uri = events["uri"]
    return Files(uri, events["format"], tuple(matching_files(uri)))


def _topic(events: Mapping[str, Any]) -> EventSource:
    address = kafka_address.kafka_address(events["uri"], "events.uri")
    if events["format"] == "avro" and not (address.schema or address.registry):
        allowed = "schema=FILE with the records' schema, or registry=URL of the registry that has it"
        raise SpecError("events.uri", Absent("Avro records of a topic without a schema"), allowed)
    kafka.check_readable(address)
    return Topic(address, events["format"])


def _messages(events: Mapping[str, Any]) -> EventSource:
    address = pubsub_address.source_address(events["uri"], "events.uri")
    pubsub_address.check_events(events, address)
    pubsub.check_readable(address)
    return Messages(address, events["format"])


_OPENERS: Mapping[str, Callable[[Mapping[str, Any]], EventSource]] = {
    kafka_address.SCHEME: _topic,
    pubsub_address.SCHEME: _messages,
}
