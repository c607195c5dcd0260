"""A topic of a first job, looked at as files are: its first records, and the form that they are in."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from pipeline.endpoints.errors import NoInput
from pipeline.endpoints.kafka.address import KafkaAddress, kafka_address
from pipeline.endpoints.kafka.blocks import filled_blocks
from pipeline.endpoints.kafka.client import TopicUnreadable
from pipeline.endpoints.kafka.held import HeldRecords, held_records
from pipeline.endpoints.kafka.readers import Record
from pipeline.endpoints.kafka.registry import FRAME_BYTES, SchemaUnknown, number_of, schema_of
from schemas.formats.envelopes.kinds import CLOUDEVENTS, VERSION
from schemas.formats.raw import RawBlock
from schemas.formats.tf_examples import decode_examples
from schemas.validation import Absent, SpecError

_SECONDS = 60.0
_LOOKED_AT = 100
_MOST = 0.5
_SHOWN = 40


class TopicLook(NamedTuple):
    """Records of a topic as raw blocks; `events`: how a job reads them; `whole`: whether these are all that it held."""

    blocks: list[RawBlock]
    events: dict[str, Any]
    whole: bool


def look_at_topic(uri: str, most: int) -> TopicLook:
    """Reads the first records of a topic, at most `most`, for at most a minute.

    Raises:
        SpecError: the URI has no topic, or does not say where the schema of its records is.
        NoInput: the broker does not answer, the topic is not there, or holds nothing that can be read.
    """
    address = kafka_address(uri, "DATA")
    try:
        held = held_records(address, most, _SECONDS)
        if not held.records:
            raise _nothing(address, held)
        format_name = _format(held.records, address)
        blocks = list(_blocks(held.records, address, format_name))
    except TopicUnreadable as error:
        advice = "" if "next: " in str(error) else "; next: halflife init again once it can be read"
        raise NoInput(f"{error}{advice}") from None
    return TopicLook(blocks, {"uri": _ending(uri), "format": format_name}, held.whole)


def _nothing(address: KafkaAddress, held: HeldRecords) -> NoInput:
    found = f"{held.read:,} tombstones and empty values" if held.read else "no records in it"
    expected = "expected: records that can be looked at; next: halflife init again once it has some"
    return NoInput(f"no readable record in {address.public} ({found}); {expected}")


def _ending(uri: str) -> str:
    """The URI of a run that ends with what the topic holds then."""
    parts = urlsplit(uri)
    if "until" in parse_qs(parts.query):
        return uri
    return f"{uri}{'&' if parts.query else '?'}until=latest"


def _format(records: Sequence[Record], address: KafkaAddress) -> str:
    """The format of most of the first values.

    Raises:
        SpecError: they need a schema, and the URI does not say where it is.
        NoInput: they are in none that is read.
    """
    first = [record.value or b"" for record in records[:_LOOKED_AT]]
    if address.schema:
        return "avro"
    framed = [value for value in first if len(value) > FRAME_BYTES and value[0] == 0]
    if address.registry:
        return _of_registry(framed, address)
    if len(framed) > _MOST * len(first):
        found = Absent("its values begin with the number of a schema")
        raise SpecError(f"DATA {address.public}", found, "registry=URL in its URI: the schema registry that has it")
    if sum(map(_is_json, first)) >= _MOST * len(first):
        return "json"
    pieces = decode_examples(first, [], lists=None)
    if sum(piece.rows.num_rows for piece in pieces if piece.rows.num_columns) >= _MOST * len(first):
        return "tfexample"
    raise _unread(records[0], address)


def _is_json(value: bytes) -> bool:
    """Whether it is an object, or a batch of CloudEvents."""
    start = value.lstrip()
    return start.startswith(b"{") or (start.startswith(b"[") and f'"{VERSION}"'.encode() in start)


def _of_registry(framed: Sequence[bytes], address: KafkaAddress) -> str:
    """Avro, unless behind the frames are JSON objects. Raises `NoInput`, `TopicUnreadable`."""
    if not framed:
        raise NoInput(f"{address.public}: no value begins with the number of a schema; next: the URI without registry")
    jsons = sum(value[FRAME_BYTES:].lstrip().startswith(b"{") for value in framed)
    if jsons > _MOST * len(framed):
        return "json"
    said = ""
    for frame in dict.fromkeys(value[:FRAME_BYTES] for value in framed):
        try:
            number_of(frame)
            schema_of(frame, address)
            return "avro"
        except SchemaUnknown as error:
            said = said or str(error)
    raise NoInput(f"{address.public}: {said}")


def _unread(record: Record, address: KafkaAddress) -> NoInput:
    shown = f"{(record.value or b'')[:_SHOWN]!r} at {address.public}[{record.partition}]@{record.offset}"
    allowed = "JSON objects, tf.train.Example, or Avro with the URI's schema=FILE or registry=URL"
    return NoInput(f"no readable record: {shown}; expected: {allowed}; next: state which of them it is")


def _blocks(records: Sequence[Record], address: KafkaAddress, format_name: str) -> Iterator[RawBlock]:
    for partition in sorted({record.partition for record in records}):
        own = [record for record in records if record.partition == partition]
        yield from filled_blocks(own, address, format_name, CLOUDEVENTS)  # no other format has arrays as values
