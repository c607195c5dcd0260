"""What docs/records.md takes from an Avro schema: each field with its type and meaning."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docs.tables import linked, table


def record_region(schema: Path) -> str:
    """The record's own description and a table of its fields, in Markdown."""
    record = json.loads(schema.read_text(encoding="utf-8"))
    return f"{linked(record['doc'])}\n\n{table(('field', 'type', 'meaning'), _rows(record, ''))}\n"


def _rows(record: dict[str, Any], prefix: str) -> Iterator[tuple[str, str, str]]:
    for field in record["fields"]:
        yield f"`{prefix}{field['name']}`", _type(field["type"]), linked(field["doc"])
        items = field["type"].get("items") if isinstance(field["type"], dict) else None
        if isinstance(items, dict):
            yield from _rows(items, f"{prefix}{field['name']}[].")


def _type(avro: Any) -> str:
    """A type in words.

    >>> _type(["null", {"type": "map", "values": ["null", "long"]}])
    'map of (long or null), or null'
    """
    if isinstance(avro, str):
        return avro
    if isinstance(avro, list):
        branches = " or ".join(_type(one) for one in avro if one != "null")
        return branches if "null" not in avro else f"{branches}{',' if ' ' in branches else ''} or null"
    if avro["type"] in ("map", "array"):
        inner = _type(avro.get("values") or avro["items"])
        return f"{avro['type']} of ({inner})" if " " in inner else f"{avro['type']} of {inner}"
    return str(avro.get("logicalType") or avro.get("name") or avro["type"])
