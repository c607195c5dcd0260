"""Pub/Sub as URIs: `pubsub://project/subscription?timestamp_attribute=…&id_attribute=…&schema=FILE`, or a topic."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from models.errors import one_line
from pipeline.endpoints.uris import GOOGLE_PROJECT, beam_path
from schemas.avro.schema import MalformedSchema, vetted
from schemas.expectations import did_you_mean
from schemas.validation import Absent, SpecError

SCHEME = "pubsub"
SUBSCRIPTIONS, TOPICS = "subscriptions", "topics"
_OPTIONS = ("timestamp_attribute", "id_attribute", "schema")
_SOURCE_FORM = "pubsub://project/subscription?timestamp_attribute=NAME, or pubsub://project/topics/topic?…"
_SINK_FORM = "pubsub://project/topic, without options"
_NAME = re.compile(r"(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}")
_NAME_FORM = "3 to 255 letters, digits or -._~+%, the first a letter, not beginning with goog"
_ATTRIBUTE = re.compile(r"[^\s]{1,256}")


@dataclass(frozen=True, slots=True)
class PubsubAddress:
    """A subscription or topic. `timestamp_attribute` carries the event time; `schema` is an Avro schema (JSON)."""

    project: str
    kind: str
    name: str
    timestamp_attribute: str | None = None
    id_attribute: str | None = None
    schema: str = ""

    @property
    def path(self) -> str:
        """Its name in the service."""
        return f"projects/{self.project}/{self.kind}/{self.name}"

    @property
    def public(self) -> str:
        """The URI without its options."""
        return f"{SCHEME}://{self.project}/{self.kind}/{self.name}"


def source_address(uri: str, spec_path: str) -> PubsubAddress:
    """The subscription that events come from, or the topic of a subscription that lives as long as the job.

    Raises:
        SpecError: another form, an unknown option, no attribute with the event time, a schema that cannot be read.
    """
    address = _address(uri, spec_path, SUBSCRIPTIONS, _SOURCE_FORM)
    options = dict(parse_qsl(urlsplit(uri).query, keep_blank_values=True))
    for name, value in options.items():
        if name not in _OPTIONS:
            raise SpecError(f"{spec_path}?{name}", value, f"one of {', '.join(_OPTIONS)}{did_you_mean(name, _OPTIONS)}")
    for name in ("timestamp_attribute", "id_attribute"):
        if name in options and not _ATTRIBUTE.fullmatch(options[name]):
            raise SpecError(f"{spec_path}?{name}", options[name], "the name of an attribute, at most 256 characters")
    if "timestamp_attribute" not in options:
        # Publishing happens after the event: if the time of publishing were used, every event would be behind the
        # watermark.
        allowed = "the attribute with the event time, in RFC 3339 or milliseconds, from which the watermark is made"
        raise SpecError(f"{spec_path}?timestamp_attribute", Absent("not given"), allowed)
    schema = _read(options["schema"], f"{spec_path}?schema") if "schema" in options else ""
    return PubsubAddress(
        address.project,
        address.kind,
        address.name,
        options["timestamp_attribute"],
        options.get("id_attribute"),
        schema,
    )


def sink_address(uri: str, spec_path: str) -> PubsubAddress:
    """The topic that records go to; a sink's sub-folder is a topic of its own. Raises `SpecError`."""
    address = _address(uri, spec_path, TOPICS, _SINK_FORM)
    if address.kind != TOPICS or urlsplit(uri).query:
        raise SpecError(spec_path, uri, _SINK_FORM)
    return address


def check_events(events: Mapping[str, object], address: PubsubAddress) -> None:
    """Raises `SpecError` where the spec leaves out what would otherwise be inferred by reading the input."""
    if events["format"] == "avro" and not address.schema:
        raise SpecError("events.uri?schema", Absent("not given"), "the file of the messages' Avro schema")
    if "columns" not in events:
        # A pull takes messages from the job's own subscription and delays their redelivery.
        allowed = "a type for each column that the job reads: no message is taken to learn them from"
        raise SpecError("events.columns", Absent("not given"), allowed)


def _address(uri: str, spec_path: str, kind: str, form: str) -> PubsubAddress:
    parts = urlsplit(uri)
    words = parts.path.strip("/").split("/")
    if words[0] in (SUBSCRIPTIONS, TOPICS) and len(words) > 1:
        kind, words = words[0], words[1:]
    name = ".".join(words)
    if not GOOGLE_PROJECT.fullmatch(parts.netloc) or not name or parts.fragment:
        raise SpecError(spec_path, uri, form)
    if not _NAME.fullmatch(name):
        raise SpecError(spec_path, name, _NAME_FORM)
    return PubsubAddress(parts.netloc, kind, name)


def _read(path: str, spec_path: str) -> str:
    from apache_beam.io.filesystems import FileSystems  # it takes seconds to import

    try:
        with FileSystems.open(beam_path(path)) as stream:
            text = bytes(stream.read()).decode("utf-8")
        vetted(text)
    except MalformedSchema as error:
        raise SpecError(spec_path, path, f"a file with the Avro schema of a record ({error})") from None
    except (OSError, ValueError) as error:
        raise SpecError(spec_path, path, f"a readable file ({one_line(error)})") from None
    return text
