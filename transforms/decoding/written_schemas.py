"""What the bytes of records are read by: Avro's schema of a writer, the header of a CSV file. A dead letter has its
fingerprint, and an event in the audit the text, so that the letter can be fed again when its source is gone."""

import base64
import hashlib
import json
import zlib
from functools import lru_cache
from typing import Any

import pyarrow as pa

from models.serving.cache import worker_name
from schemas.records import ModelEvent, record_batch

SCHEMA_READ = "schema_read"
MOST_STORED_BYTES = 512 * 1024
"""A text that takes more, compressed, is not kept: a topic's broker refuses larger messages."""
MOST_TOLD = 256
"""Schemas that one decoder tells of; what is written by further ones cannot be fed again without its source."""
_MOST_BYTES = 64 * 1024 * 1024
_PLAIN_BYTES = 32 * 1024


@lru_cache(maxsize=64)
def fingerprint(schema: str) -> str:
    """The sha256 of the text of a schema, in hex digits.

    >>> fingerprint('"string"')[:16]
    'e9e5c1c9e4f62773'
    """
    return hashlib.sha256(schema.encode("utf-8", "surrogatepass")).hexdigest()


def schema_event(schema: str, form: str, at_us: int) -> pa.RecordBatch:
    """The event that has the text of a schema by its fingerprint; `form`: the format of the records."""
    said: dict[str, Any] = {"schema": fingerprint(schema), "format": form}
    if len(schema) <= _PLAIN_BYTES:
        said["text"] = schema
    else:
        stored = base64.b64encode(zlib.compress(schema.encode("utf-8", "surrogatepass"), 6)).decode()
        said |= {"deflated": stored} if len(stored) <= MOST_STORED_BYTES else {"too_large": len(schema)}
    event = ModelEvent(at_us, SCHEMA_READ, "", None, None, None, worker_name(), "", json.dumps(said))
    return record_batch("ModelEvent", [event])


def schema_of_event(said: dict[str, Any]) -> str | None:
    """The text in the evidence of a `schema_read` event; None where it is not kept, or is not of its fingerprint."""
    text = said.get("text")
    if text is None and "deflated" in said:
        try:
            inflater = zlib.decompressobj()
            inflated = inflater.decompress(base64.b64decode(said["deflated"], validate=True), _MOST_BYTES)
            text = inflated.decode("utf-8", "surrogatepass")
        except (ValueError, TypeError, zlib.error):
            return None
    return text if isinstance(text, str) and fingerprint(text) == said.get("schema") else None
