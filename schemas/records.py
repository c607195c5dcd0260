"""The records that leave the job: their Avro schemas (the truth) and typed forms of the rare ones.

Scores, receipts, drift statistics and quality exist only as columns; dead letters and model events are also written
one at a time and have a typed form here.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from typing import Any, NamedTuple

import pyarrow as pa

from schemas.batches import TIME_TYPE

RECORDS = ("Score", "Receipt", "ModelEvent", "DriftStatistic", "Quality", "DeadLetter")
MODEL_EVENT_KINDS = (
    "admitted",
    "refused",
    "released",
    "activated",
    "retired",
    "loaded",
    "load_failed",
    "unloaded",
    "accessed",
    "heartbeat",
    "gate",
    "retraining_advised",
    "notified",
    "run_started",
    "schema_read",
    "erased",
    "expired",
    "held",
)


# A scorer's inputs by the feature's name: the branches of the schema's union, in its order.
FEATURE_VALUE_TYPE = pa.sparse_union(
    [
        pa.field("null", pa.null()),
        pa.field("whole", pa.int64()),  # before the numbers: a reader takes the first branch that fits a long
        pa.field("number", pa.float64()),
        pa.field("text", pa.string()),
        pa.field("bytes", pa.binary()),
    ]
)
FEATURES_TYPE = pa.map_(pa.string(), FEATURE_VALUE_TYPE)


@lru_cache(maxsize=16)
def avsc(record: str) -> str:
    """The Avro schema of a record as JSON text. Raises `FileNotFoundError` for a name that is not in `RECORDS`."""
    return resources.files("schemas").joinpath("avsc", f"{record}.avsc").read_text(encoding="utf-8")


@lru_cache(maxsize=16)
def arrow_schema(record: str) -> pa.Schema:
    """The Arrow schema of batches of a record: field order of its `.avsc`, times as timestamp[us, UTC]."""
    return pa.schema([_arrow_field(field) for field in json.loads(avsc(record))["fields"]])


_SCALARS = {
    "string": pa.string(),
    "bytes": pa.binary(),
    "double": pa.float64(),
    "long": pa.int64(),
    "boolean": pa.bool_(),
}


def _arrow_field(field: dict[str, Any]) -> pa.Field:
    nullable = isinstance(field["type"], list)
    return pa.field(field["name"], _arrow_type(field["type"][1] if nullable else field["type"]), nullable)


def _arrow_type(node: Any) -> pa.DataType:
    if isinstance(node, str):
        return _SCALARS[node]
    if node.get("logicalType") == "timestamp-micros":
        return TIME_TYPE
    if node["type"] == "array":
        return pa.list_(pa.struct([_arrow_field(field) for field in node["items"]["fields"]]))
    values = node["values"]
    return FEATURES_TYPE if isinstance(values, list) else pa.map_(pa.string(), _SCALARS[values])


class DeadLetter(NamedTuple):
    """An input record that did not become a score; `event_time_us` and `at_us` in microseconds since the epoch.

    `stage` is one of `schemas.dead_letter_stages`; `schema` is the fingerprint of the one the payload was
    written with, `key_id` names the key it is encrypted under.
    """

    stage: str
    error: str
    detail: str
    payload: bytes
    event_id: str | None
    event_time_us: int | None
    at_us: int
    schema: str | None = None
    key_id: str | None = None


class ModelEvent(NamedTuple):
    """Something that happened to a model version, a release or a run; `evidence` is JSON text.

    `kind` is one of `MODEL_EVENT_KINDS`; `model` is empty for an event of a run.
    """

    at_us: int
    kind: str
    model: str
    version: str | None
    digest: str | None
    release: int | None
    actor: str
    reason: str
    evidence: str


def record_batch(record: str, rows: Sequence[DeadLetter] | Sequence[ModelEvent]) -> pa.RecordBatch:
    """Typed records as a batch in the record's Arrow schema."""
    schema = arrow_schema(record)
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
