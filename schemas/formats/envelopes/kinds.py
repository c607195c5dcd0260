"""What envelopes have in common: which there are, which of their records are no events, and what is wrong with one."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from schemas.errors import UnusableData

DEBEZIUM, CLOUDEVENTS = "debezium", "cloudevents"
ENVELOPES = (DEBEZIUM, CLOUDEVENTS)
FORMATS = ("json", "avro")
"""The formats whose records may be in envelopes."""
WITHIN: Mapping[str, str] = {DEBEZIUM: "after", CLOUDEVENTS: "data"}
"""The field that holds the record."""
TOMBSTONES = "tombstones"
OPERATIONS: Mapping[str, str] = {"c": "", "r": "", "u": "", "d": "deletes", "t": "truncates", "m": "messages"}
"""Debezium's operations, and what those are called that are no events."""
EXPECTED_OP = ", ".join(OPERATIONS)
EMPTY_BATCHES = "empty_batches"
HEADERS = ("ce_", "ce-")
"""How the names of headers in Kafka, and of attributes in Pub/Sub, begin that hold the attributes of a CloudEvent in
binary mode."""
VERSION = "specversion"

Headers = Sequence[tuple[str, bytes | None]]


class MalformedEnvelope(UnusableData):
    """A record is not in the envelope that it is said to be in."""


class SkippedRecord(NamedTuple):
    """A record that is no event, and as what it is counted."""

    kind: str


class Attributes(NamedTuple):
    """The attributes of a CloudEvent that came in headers (binary mode); None for a record without them."""

    texts: Mapping[str, str] | None


def attributes_of(headers: Headers) -> Attributes:
    """The attributes in headers. Raises `MalformedEnvelope` for one that is no text."""
    found = dict[str, str]()
    for name, value in headers:
        if name.startswith(HEADERS) and value is not None:
            try:
                found[name[len(HEADERS[0]) :]] = value.decode()
            except UnicodeDecodeError:
                raise MalformedEnvelope(
                    f"header {name}: {value!r:.80} is not allowed; expected: a text in UTF-8"
                ) from None
    return Attributes(found if VERSION in found else None)
