"""Values that begin with the number of their schema, and the schemas of a registry.

The frame is Confluent's wire format: a zero byte, then the number in four bytes, big-endian; the API is that of
Confluent's registry, which others (Karapace, Apicurio, Redpanda) speak too.
"""

import json
import time
from typing import Any

from models.errors import one_line
from pipeline.endpoints.kafka.address import KafkaAddress
from pipeline.endpoints.kafka.client import TopicUnreadable, value_of
from schemas.avro.schema import MalformedSchema, vetted
from schemas.errors import HalflifeError

FRAME_BYTES = 5
_TIMEOUTS = (5.0, 15.0)  # seconds to connect, and for the answer
# A number unknown to the registry is requested again after this many seconds: records may arrive before their schema.
_FORGET_SECONDS = 30.0
_ANSWER_BYTES, _PIECE_BYTES = 8 * 1024 * 1024, 64 * 1024
_ACCEPT = {"Accept": "application/vnd.schemaregistry.v1+json, application/json"}
_LOGIN = "expected: a login that it takes, by registry_auth=${NAME}, a variable with user:password"
_schemas: dict[tuple[str, int], str] = {}
_unknown: dict[tuple[str, int], tuple[float, str]] = {}


class SchemaUnknown(HalflifeError):
    """A record cannot be read because its schema is not available; the message says what the registry has instead."""


class RegistryUnreachable(TopicUnreadable):
    """The registry does not answer now; it may later."""


def schema_of(frame: bytes, address: KafkaAddress) -> str:
    """The Avro schema (JSON) of the values with this frame; requested once per process.

    Raises:
        SchemaUnknown: it is not a frame, or its number is not that of an Avro record's schema.
        RegistryUnreachable: the registry does not answer.
        TopicUnreadable: the registry refuses the request.
    """
    schema_id = address.registry, number_of(frame)
    if schema_id not in _schemas:
        asked_at, reason = _unknown.get(schema_id, (-_FORGET_SECONDS, ""))
        if time.monotonic() - asked_at < _FORGET_SECONDS:
            raise SchemaUnknown(reason)
        try:
            _schemas[schema_id] = _checked(_asked(address, f"schemas/ids/{schema_id[1]}"), *schema_id)
        except SchemaUnknown as error:
            _unknown[schema_id] = time.monotonic(), str(error)
            raise
    return _schemas[schema_id]


def number_of(frame: bytes) -> int:
    """The number of a schema. Raises `SchemaUnknown` where it is not a frame."""
    if len(frame) < FRAME_BYTES or frame[0] != 0:
        raise SchemaUnknown(f"it begins with {frame!r}; expected: a zero byte and the four of a schema's number")
    return int.from_bytes(frame[1:], "big")


def check_registry(address: KafkaAddress) -> None:
    """Raises `RegistryUnreachable` or `TopicUnreadable` unless the registry answers."""
    _asked(address, "schemas/types")


def _asked(address: KafkaAddress, path: str) -> Any:
    """The JSON of an answer; None where the registry has nothing under this path."""
    import requests

    about = f"{address.public}: the schema registry {address.registry}"
    auth = None
    if address.registry_auth:
        user, _, password = value_of("registry_auth", address.registry_auth, address).partition(":")
        auth = (user, password)
    try:
        url = f"{address.registry}/{path}"
        answer = requests.get(url, timeout=_TIMEOUTS, auth=auth, headers=_ACCEPT, stream=True)
        if answer.status_code in (401, 403):
            raise TopicUnreadable(f"{about} refuses ({answer.status_code} {answer.reason}); {_LOGIN}")
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        return json.loads(_body(answer, about))
    except (requests.RequestException, ValueError, RecursionError) as error:  # the last two: an answer that is not JSON
        reason = one_line(error)
        raise RegistryUnreachable(f"{about} does not answer ({reason})") from None


def _body(answer: Any, about: str) -> bytes:
    """The bytes of an answer, inflated. Raises `SchemaUnknown` for more of them than a schema may have."""
    body = bytearray()
    for piece in answer.iter_content(_PIECE_BYTES):
        body += piece
        if len(body) > _ANSWER_BYTES:
            answer.close()
            raise SchemaUnknown(f"{about} answers with too many bytes; allowed: at most {_ANSWER_BYTES}")
    return bytes(body)


def _checked(found: Any, registry: str, number: int) -> str:
    """The schema in an answer. Raises `SchemaUnknown` unless it is that of an Avro record."""
    about = f"schema {number} of {registry}"
    if not isinstance(found, dict) or not isinstance(found.get("schema"), str):
        raise SchemaUnknown(f"{about} is not there; expected: a number that the registry gave")
    kind = found.get("schemaType", "AVRO")
    if kind != "AVRO":
        raise SchemaUnknown(f"{about} is of type {kind}; expected: AVRO")
    if found.get("references"):
        raise SchemaUnknown(f"{about} refers to other subjects, which is not supported; expected: all in one schema")
    try:
        vetted(found["schema"])
    except MalformedSchema as error:
        raise SchemaUnknown(f"{about}: {error}; expected: an Avro record with the event's columns") from None
    return str(found["schema"])
