"""The schemas that records of an audit may be written in: today's, and every earlier one (`schemas/history`)."""

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

import fastavro
import pyarrow as pa
from fastavro.schema import to_parsing_canonical_form

from schemas.expectations import wants
from schemas.reasons import of_error
from schemas.records import avsc

RECEIPT, MODEL_EVENT = "Receipt", "ModelEvent"
NO_KEYS = "unreadable: no key store given"
"""Why an encrypted receipt cannot be read where no keys are at hand."""


@lru_cache(maxsize=256)
def problem_of(schema: str, record: str) -> str:
    """Why records of this schema (JSON, as a file has it) cannot be read as `record`; empty where they can."""
    try:
        found = fastavro.parse_schema(json.loads(schema))
        name = str(found["name"]).rpartition(".")[2] if isinstance(found, dict) else ""
        if name == record and _canonical(schema) in _known(record):
            return ""
    except Exception as error:  # whatever an untrusted schema makes the library raise
        return f"its schema cannot be read: {of_error(error)}; {wants(f'records {record}')}"
    if name != record:
        return f"it holds records {name or 'without a name'}; {wants(f'records {record}')}"
    here = f"the schema of {record} that this Halflife knows, or an earlier one"
    return f"its format is not known: a later Halflife may have written it; expected: {here}"


def _canonical(schema: str) -> str:
    """Avro's parsing canonical form: without documentation, defaults and order of attributes."""
    return str(to_parsing_canonical_form(json.loads(schema)))


@lru_cache(maxsize=4)
def _known(record: str) -> frozenset[str]:
    earlier = resources.files("schemas").joinpath("history", record).iterdir()
    texts = [avsc(record), *(file.read_text(encoding="utf-8") for file in earlier if file.name.endswith(".avsc"))]
    return frozenset(_canonical(text) for text in texts)


def is_encrypted(receipts: pa.RecordBatch) -> bool:
    """Whether any of these receipts is encrypted; those of early schemas are not."""
    return "key_id" in receipts.schema.names and receipts.column("key_id").null_count < receipts.num_rows


def plain_rows(rows: pa.RecordBatch, record: str) -> list[dict[str, Any]]:
    """Each row as a mapping with every field of today's `record`: times as whole microseconds since 1970, maps as
    mappings; a field that an earlier schema did not have has its default."""
    columns = [column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in rows.columns]
    maps = [name for name, column in zip(rows.schema.names, columns, strict=True) if pa.types.is_map(column.type)]
    found: list[dict[str, Any]] = pa.RecordBatch.from_arrays(columns, rows.schema.names).to_pylist()
    for row in found:
        row.update({name: dict(row[name]) for name in maps if row[name] is not None})
    return [_whole(row, record) for row in found]


def _whole(row: Mapping[str, Any], record: str) -> dict[str, Any]:
    whole = {name: row.get(name, default) for name, default in _defaults(record)}
    if record == RECEIPT:
        whole["reasons"] = [{"feature": None, "contribution": None, "code": None} | each for each in whole["reasons"]]
    return whole


@lru_cache(maxsize=4)
def _defaults(record: str) -> tuple[tuple[str, Any], ...]:
    """The fields of today's record in order, each with what it is where a file does not have it."""
    return tuple((field["name"], field.get("default")) for field in json.loads(avsc(record))["fields"])
