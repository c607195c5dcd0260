"""Where events come from, by the scheme of the URI: files, a topic of Kafka, or a subscription of Pub/Sub.

What reads files imports no Beam until it becomes a step of a graph, so that verbs can look at a job's input without it.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.endpoints.files.csv_files import AS_IT_IS, FileForm
from pipeline.endpoints.files.other_formats import fill_in
from pipeline.endpoints.files.source import form_of, read_file
from pipeline.endpoints.kafka import address as kafka_address
from pipeline.endpoints.kafka.address import KafkaAddress
from pipeline.endpoints.matching import matching_files
from pipeline.endpoints.pubsub import address as pubsub_address
from pipeline.endpoints.pubsub.address import PubsubAddress
from pipeline.endpoints.sample import stretches
from pipeline.endpoints.uris import FILE_SCHEMES, scheme_of
from pipeline.reporting.printer import note
from schemas.formats.arrow_columns import path_of
from schemas.formats.envelopes.kinds import FORMATS as ENVELOPED
from schemas.formats.path_columns import kinds_of_paths
from schemas.formats.raw import RawBlock
from schemas.job import EventsSpec
from schemas.validation import Absent, SpecError

if TYPE_CHECKING:
    import apache_beam as beam

_OF_MESSAGES = ("avro", "json", "tfexample")
SCHEMES = (*FILE_SCHEMES, kafka_address.SCHEME, pubsub_address.SCHEME)


class EventSource(Protocol):
    """A source of events that exists and can be reached."""

    @property
    def bounded(self) -> bool: ...
    @property
    def only_on(self) -> str | None:
        """The one runner that reads it; None where all do."""

    def describe(self) -> str: ...
    def sample(self, names: Collection[str] = ()) -> Iterator[RawBlock]:
        """The first blocks; where their format is read in columns, the values of at least these."""

    def read(self, spec: EventsSpec) -> "beam.PTransform[Any, Any]": ...


@dataclass(frozen=True, slots=True)
class Files:
    """Files that match a URI."""

    uri: str
    format: str
    paths: tuple[str, ...]
    form: FileForm = AS_IT_IS
    bounded: bool = True
    only_on: str | None = None
    envelope: str | None = None

    def describe(self) -> str:
        return f"{len(self.paths)} file(s) of {self.uri}"

    def sample(self, names: Collection[str] = ()) -> Iterator[RawBlock]:
        form = self.form._replace(asked=tuple(names))
        kinds = kinds_of_paths(self.paths)
        for path in self.paths:
            for block in read_file(path, self.format, form, sample=True):
                of_path = tuple(each._replace(kind=kinds.get(each.name)) for each in block.of_path)
                yield block._replace(of_path=of_path, envelope=self.envelope)

    def read(self, spec: EventsSpec) -> "beam.PTransform[Any, Any]":
        from pipeline.endpoints.reading.read_files import ReadFiles

        return ReadFiles(list(self.paths), spec.format, form_of(spec))


@dataclass(frozen=True, slots=True)
class Topic:
    """A Kafka topic."""

    address: KafkaAddress
    format: str
    only_on: str | None = None
    envelope: str | None = None

    @property
    def bounded(self) -> bool:
        return self.address.bounded

    def describe(self) -> str:
        end = "as far as it reaches now" if self.bounded else "until the job is cancelled"
        return f"{self.address.public} from {self.address.start}, {end}"

    def sample(self, names: Collection[str] = ()) -> Iterator[RawBlock]:
        from pipeline.endpoints.kafka.source import first_blocks

        blocks = first_blocks(self.address, self.format, self.envelope)
        return (block._replace(envelope=self.envelope) for block in blocks)

    def held(self) -> Iterator[RawBlock]:
        """All that it holds now from its start on, not decoded; read in this process."""
        from pipeline.endpoints.kafka.source import held_blocks

        return held_blocks(self.address, self.format, self.envelope)

    def read(self, spec: EventsSpec, silent_after_us: int | None = None) -> "beam.PTransform[Any, Any]":
        from pipeline.endpoints.kafka.source import ReadTopic

        return ReadTopic(self.address, spec, silent_after_us)


@dataclass(frozen=True, slots=True)
class Messages:
    """A Pub/Sub subscription or topic, without end. Beam's Python SDK leaves the reading to Dataflow's service."""

    address: PubsubAddress
    format: str
    bounded: bool = False
    only_on: str | None = "DataflowRunner"

    def describe(self) -> str:
        return f"{self.address.public}, until the job is cancelled"

    def sample(self, names: Collection[str] = ()) -> Iterator[RawBlock]:
        """Empty: looking at messages would consume them; the spec states the columns (`check_events`)."""
        return iter(())

    def read(self, spec: EventsSpec) -> "beam.PTransform[Any, Any]":
        from pipeline.endpoints.pubsub.source import ReadMessages

        return ReadMessages(self.address, spec.format, spec.envelope)


def open_source(events: dict[str, Any]) -> EventSource:
    """The source of a job's `events`; what these leave to be guessed of files is stated in them then, and noted.

    Raises:
        SpecError: the URI or the format has a value that is not allowed.
        NoInput, TopicUnreadable: there is nothing to read, or the service does not answer.
    """
    scheme = scheme_of(events["uri"])
    if scheme not in SCHEMES:
        from pipeline.endpoints.added.source import open_added

        added = open_added(events)
        if added is not None:
            return added
    return _OPENERS.get(scheme, _files)(events)


def _files(events: dict[str, Any]) -> EventSource:
    uri = events["uri"]
    paths = tuple(matching_files(uri))
    form = fill_in(events, paths, note)
    _check_envelope(events)
    found = Files(uri, events["format"], paths, form, envelope=events.get("envelope"))
    if twice := _also_in_files(found):
        is_one = len(twice) == 1
        said = (
            f"{', '.join(map(repr, twice))} {'is' if is_one else 'are'} in the files and in the names of their folders"
        )
        note(f"events.uri: {said}: what a file holds is read, and what its path says only where it holds nothing")
    return found


def _also_in_files(found: Files) -> list[str]:
    """The columns that paths state, and the first readable file has too."""
    stated = kinds_of_paths(found.paths)
    if not stated:
        return []
    blocks = (block._replace(of_path=()) for block in found.sample(list(stated)))
    _, rows = next(stretches(blocks, found.format, list(stated)), ("", None))
    return [] if rows is None else [name for name in stated if path_of(rows.schema, name) is not None]


def _check_format(events: Mapping[str, Any]) -> None:
    """Raises `SpecError` for a format that single messages do not have, and where none is stated."""
    stated = events.get("format", Absent("not given"))
    if stated not in _OF_MESSAGES:
        why = "messages are in one of these, and which one is not guessed"
        raise SpecError("events.format", stated, f"{', '.join(_OF_MESSAGES[:-1])} or {_OF_MESSAGES[-1]} ({why})")
    _check_envelope(events)


def _check_envelope(events: Mapping[str, Any]) -> None:
    """Raises `SpecError` for an envelope of records in a format that is not read out of one."""
    if events.get("envelope") and events["format"] not in ENVELOPED:
        why = f"none: of events.format {events['format']}; only {' and '.join(ENVELOPED)} are read out of envelopes"
        raise SpecError("events.envelope", events["envelope"], why)


def _topic(events: dict[str, Any]) -> EventSource:
    from pipeline.endpoints.kafka.source import check_readable

    _check_format(events)
    address = kafka_address.kafka_address(events["uri"], "events.uri")
    if events["format"] == "avro" and not (address.schema or address.registry):
        allowed = "schema=FILE with the records' schema, or registry=URL of the registry that has it"
        raise SpecError("events.uri", Absent("Avro records of a topic without a schema"), allowed)
    check_readable(address)
    return Topic(address, events["format"], envelope=events.get("envelope"))


def _messages(events: dict[str, Any]) -> EventSource:
    from pipeline.endpoints.pubsub.source import check_readable

    _check_format(events)
    address = pubsub_address.source_address(events["uri"], "events.uri")
    pubsub_address.check_events(events, address)
    check_readable(address)
    return Messages(address, events["format"])


_OPENERS: Mapping[str, Callable[[dict[str, Any]], EventSource]] = {
    kafka_address.SCHEME: _topic,
    pubsub_address.SCHEME: _messages,
}


def check_reads(runner: str | None, source: EventSource, uri: str) -> None:
    """Raises `SpecError` for events that the chosen runner does not read; `uri` is theirs."""
    if source.only_on not in (None, runner):
        raise SpecError("events.uri", uri, f"it with --runner={source.only_on}, which reads it")
