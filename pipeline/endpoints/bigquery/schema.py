"""An Avro schema as the columns of a BigQuery table, converted as BigQuery does when it loads Avro files.

So a table that this job fills and one that was loaded from its files have the same columns
(https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-avro#avro_conversions).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from schemas.errors import UnusableData

REQUIRED, NULLABLE, REPEATED = "REQUIRED", "NULLABLE", "REPEATED"
_PLAIN = {
    "boolean": "BOOLEAN",
    "int": "INTEGER",
    "long": "INTEGER",
    "float": "FLOAT",
    "double": "FLOAT",
    "bytes": "BYTES",
    "fixed": "BYTES",
    "string": "STRING",
    "enum": "STRING",
}
_LOGICAL = {
    "date": "DATE",
    "time-millis": "TIME",
    "time-micros": "TIME",
    "timestamp-millis": "TIMESTAMP",
    "timestamp-micros": "TIMESTAMP",
    "local-timestamp-millis": "DATETIME",
    "local-timestamp-micros": "DATETIME",
}
# Digits before and after the point that NUMERIC and BIGNUMERIC hold.
_NUMERIC, _BIGNUMERIC = (29, 9), (38, 38)
_DEPTH = 15


class UnsupportedSchema(UnusableData):
    """An Avro schema that no BigQuery table can have; the message names the field and why."""


@dataclass(frozen=True, slots=True)
class BigQueryColumn:
    """One column: its BigQuery type and mode; `fields` of a RECORD."""

    name: str
    kind: str
    mode: str = REQUIRED
    fields: tuple["BigQueryColumn", ...] = ()
    description: str = ""

    def to_api(self) -> dict[str, Any]:
        """As the REST API takes it (`TableFieldSchema`)."""
        described = {"description": self.description} if self.description else {}
        inner = {"fields": [field.to_api() for field in self.fields]} if self.fields else {}
        return {"name": self.name, "type": self.kind, "mode": self.mode, **inner, **described}


def columns_of(avsc: str) -> tuple[BigQueryColumn, ...]:
    """The columns of a record's Avro schema (JSON).

    Raises:
        UnsupportedSchema: it is not a record, or has a map or array in an array, a record within itself, or more than
            15 levels.
    """
    node = json.loads(avsc)
    if not isinstance(node, dict) or node.get("type") != "record":
        raise UnsupportedSchema(f"{str(node)[:80]!r} is not allowed; expected: a record")
    return _Converter().fields(node, "", ())


class _Converter:
    """Remembers the named types met so far: a schema may refer to them by name."""

    def __init__(self) -> None:
        self._named: dict[str, Mapping[str, Any]] = {}

    def fields(self, record: Mapping[str, Any], path: str, above: tuple[str, ...]) -> tuple[BigQueryColumn, ...]:
        if record["name"] in above or len(above) >= _DEPTH:
            found = f"{path}: the record {record['name']!r} is nested in itself or too deeply"
            raise UnsupportedSchema(f"{found}; allowed: at most {_DEPTH} levels")
        inside = (*above, record["name"])
        return tuple(self._field(field, f"{path}.{field['name']}".lstrip("."), inside) for field in record["fields"])

    def _field(self, field: Mapping[str, Any], path: str, above: tuple[str, ...]) -> BigQueryColumn:
        column = self._column(field["name"], field["type"], path, above)
        return replace(column, description=field.get("doc", "")[:1024])

    def _column(self, name: str, node: Any, path: str, above: tuple[str, ...]) -> BigQueryColumn:
        if isinstance(node, list):
            return self._union(name, node, path, above)
        if isinstance(node, str):
            node = self._named.get(node, {"type": node})
        elif "name" in node:
            self._named[node["name"]] = node
        make = _COMPOUND.get(node["type"])
        return BigQueryColumn(name, _scalar(node, path)) if make is None else make(self, name, node, path, above)

    def _union(self, name: str, branches: list[Any], path: str, above: tuple[str, ...]) -> BigQueryColumn:
        """Of null and one type: that type, nullable. Of several: a record with a nullable field for each."""
        kinds = [branch for branch in branches if branch != "null"]
        if not kinds:
            raise UnsupportedSchema(f"{path}: null alone is not allowed; expected: a type that has values")
        if len(kinds) == 1:
            column = self._column(name, kinds[0], path, above)
            # An array or map cannot be null in BigQuery: it is empty instead.
            return column if column.mode == REPEATED or "null" not in branches else replace(column, mode=NULLABLE)
        named = [kind if isinstance(kind, str) else kind.get("name", kind["type"]) for kind in kinds]
        fields = [
            self._column(f"{kind}_value", node, f"{path}.{kind}_value", above)
            for kind, node in zip(named, kinds, strict=True)
        ]
        members = tuple(field if field.mode == REPEATED else replace(field, mode=NULLABLE) for field in fields)
        return BigQueryColumn(name, "RECORD", NULLABLE if "null" in branches else REQUIRED, members)

    def _record(self, name: str, node: Mapping[str, Any], path: str, above: tuple[str, ...]) -> BigQueryColumn:
        return BigQueryColumn(name, "RECORD", REQUIRED, self.fields(node, path, above))

    def _array(self, name: str, node: Mapping[str, Any], path: str, above: tuple[str, ...]) -> BigQueryColumn:
        item = self._column(name, node["items"], path, above)
        if item.mode == REPEATED:
            raise UnsupportedSchema(f"{path}: an array or map in an array is not allowed; expected: in a record in it")
        return replace(item, mode=REPEATED)

    def _map(self, name: str, node: Mapping[str, Any], path: str, above: tuple[str, ...]) -> BigQueryColumn:
        value = self._column("value", node["values"], f"{path}.value", above)
        return BigQueryColumn(name, "RECORD", REPEATED, (BigQueryColumn("key", "STRING"), value))


_COMPOUND: Mapping[Any, Callable[..., BigQueryColumn]] = {
    "record": _Converter._record,
    "array": _Converter._array,
    "map": _Converter._map,
}


def _scalar(node: Mapping[str, Any], path: str) -> str:
    logical = node.get("logicalType")
    if logical == "decimal":
        scale = node.get("scale", 0)
        digits = (node["precision"] - scale, scale)
        for kind, most in (("NUMERIC", _NUMERIC), ("BIGNUMERIC", _BIGNUMERIC)):
            if digits <= most and scale <= most[1]:
                return kind
        raise UnsupportedSchema(f"{path}: a decimal of {digits} digits is not allowed; allowed: at most {_BIGNUMERIC}")
    found = _LOGICAL.get(logical or "") or _PLAIN.get(node["type"])
    if found is None:
        raise UnsupportedSchema(f"{path}: the type {node['type']!r} is not allowed; allowed: {', '.join(_PLAIN)}")
    return found
