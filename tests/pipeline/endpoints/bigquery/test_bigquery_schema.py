"""Avro schemas as columns of BigQuery: every committed schema, and each rule of the conversion."""

import json
import re
from typing import Any

import pytest
from google.cloud.bigquery import SchemaField

from pipeline.endpoints.bigquery.schema import BigQueryColumn, UnsupportedSchema, columns_of
from schemas.records import RECORDS, avsc

MICROS = {"type": "long", "logicalType": "timestamp-micros"}
REASON = {"type": "record", "name": "Reason", "fields": [{"name": "feature", "type": "string"}]}


def column(node: Any) -> BigQueryColumn:
    (made,) = columns_of(json.dumps({"type": "record", "name": "R", "fields": [{"name": "x", "type": node}]}))
    return made


def shape(made: BigQueryColumn) -> Any:
    inner = tuple(shape(field) for field in made.fields)
    return (made.name, made.kind, made.mode, inner) if inner else (made.name, made.kind, made.mode)


@pytest.mark.parametrize("record", RECORDS)
def test_every_committed_schema_has_a_column_for_each_field(record: str) -> None:
    fields = json.loads(avsc(record))["fields"]
    columns = columns_of(avsc(record))
    assert [made.name for made in columns] == [field["name"] for field in fields]
    # A table's map has no null: it is empty instead.
    optional = [field["name"] for field in fields if isinstance(field["type"], list) and field["name"] != "lookups"]
    assert [made.name for made in columns if made.mode == "NULLABLE"] == optional
    assert {made.kind for made in columns} <= {"STRING", "BYTES", "INTEGER", "FLOAT", "BOOLEAN", "TIMESTAMP", "RECORD"}


@pytest.mark.parametrize("record", RECORDS)
def test_the_client_reads_every_committed_schema_back_as_it_was_written(record: str) -> None:
    for made in columns_of(avsc(record)):
        assert SchemaField.from_api_repr(made.to_api()).to_api_repr() == made.to_api()


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("int", ("x", "INTEGER", "REQUIRED")),
        ("float", ("x", "FLOAT", "REQUIRED")),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, ("x", "STRING", "REQUIRED")),
        ({"type": "fixed", "name": "F", "size": 4}, ("x", "BYTES", "REQUIRED")),
        (MICROS, ("x", "TIMESTAMP", "REQUIRED")),
        ({"type": "int", "logicalType": "date"}, ("x", "DATE", "REQUIRED")),
        ({"type": "long", "logicalType": "time-micros"}, ("x", "TIME", "REQUIRED")),
        ({"type": "long", "logicalType": "local-timestamp-micros"}, ("x", "DATETIME", "REQUIRED")),
        ({"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 9}, ("x", "NUMERIC", "REQUIRED")),
        ({"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 10}, ("x", "BIGNUMERIC", "REQUIRED")),
        ({"type": "long", "logicalType": "unheard-of"}, ("x", "INTEGER", "REQUIRED")),
        (["null", MICROS], ("x", "TIMESTAMP", "NULLABLE")),
        (["string", "null"], ("x", "STRING", "NULLABLE")),
        ({"type": "array", "items": REASON}, ("x", "RECORD", "REPEATED", (("feature", "STRING", "REQUIRED"),))),
        (["null", {"type": "array", "items": "long"}], ("x", "INTEGER", "REPEATED")),
        (
            {"type": "map", "values": ["null", "double", "string"]},
            (
                "x", "RECORD", "REPEATED",
                (
                    ("key", "STRING", "REQUIRED"),
                    ("value", "RECORD", "NULLABLE",
                     (("double_value", "FLOAT", "NULLABLE"), ("string_value", "STRING", "NULLABLE"))),
                ),
            ),
        ),
    ],
)  # fmt: skip
def test_each_type_becomes_the_one_that_loading_avro_makes_of_it(node: Any, expected: Any) -> None:
    assert shape(column(node)) == expected


def test_named_type_may_be_referred_to() -> None:
    fields = [{"name": "a", "type": REASON}, {"name": "b", "type": ["null", "Reason"]}]
    first, second = columns_of(json.dumps({"type": "record", "name": "R", "fields": fields}))
    assert (first.fields, second.fields, second.mode) == (second.fields, first.fields, "NULLABLE")


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"type": "array", "items": {"type": "array", "items": "long"}}, "x: an array or map in an array"),
        ({"type": "record", "name": "R", "fields": []}, "x: the record 'R' is nested in itself"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 90}, "x: a decimal of (90, 0) digits"),
        ("null", "x: the type 'null' is not allowed; allowed: boolean"),
        (["null"], "x: null alone"),
        ("Unknown", "x: the type 'Unknown'"),
    ],
)
def test_type_that_no_table_can_have_is_refused_with_its_field(node: Any, said: str) -> None:
    with pytest.raises(UnsupportedSchema, match=re.escape(said)):
        column(node)
