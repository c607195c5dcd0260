"""Every way a document can be wrong is one line: path, value, what is allowed."""

import datetime
import json
import pickle
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from schemas import validation
from schemas.validation import MISSING, SpecError, validate

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["events"],
    "properties": {
        "events": {
            "type": "object",
            "additionalProperties": False,
            "required": ["uri", "format"],
            "properties": {
                "uri": {"type": "string", "minLength": 1},
                "format": {"enum": ["avro", "json", "tfexample"]},
                "wait": {"$ref": "#/$defs/duration"},
            },
        },
        "features": {
            "type": "array",
            "maxItems": 3,
            "uniqueItems": True,
            "items": {"$ref": "#/$defs/feature"},
        },
        "share": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "shards": {"type": "integer"},
        "pair": {"type": "object", "dependentRequired": {"a": ["b"]}},
    },
    "$defs": {
        "duration": {"type": "string", "pattern": "^[0-9]+[smhd]$", "allowed": "a duration such as 5m"},
        "feature": {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["name", "size"],
                    "properties": {"name": {"type": "string"}, "size": {"$ref": "#/$defs/duration"}},
                },
            ]
        },
    },
}
EVENTS = {"uri": "x", "format": "avro"}
CASES: list[tuple[Any, str]] = [
    ([], "document: [] is not allowed; expected: a mapping"),
    ({}, "events: missing; expected: a mapping"),
    (
        {"events": {**EVENTS, "format": "xml"}},
        "events.format: 'xml' is not allowed; allowed: avro, json, tfexample",
    ),
    (
        {"events": {"uri": "x", "formt": "avro"}},
        "events.formt: unknown key; allowed: format, uri, wait; did you mean 'format'?",
    ),
    ({"events": EVENTS, "zzz": 1}, "zzz: unknown key; allowed: events, features, pair, shards, share"),
    ({"events": {"format": "avro"}}, "events.uri: missing; expected: a string of at least 1 character"),
    (
        {"events": {**EVENTS, "uri": 3}},
        "events.uri: 3 is not allowed; expected: a string of at least 1 character",
    ),
    (
        {"events": {**EVENTS, "wait": "5 min"}},
        "events.wait: '5 min' is not allowed; expected: a duration such as 5m",
    ),
    (
        {"events": EVENTS, "share": 0},
        "share: 0 is not allowed; allowed: a number greater than 0 of at most 1",
    ),
    ({"events": EVENTS, "share": float("nan")}, "share: nan is not allowed; expected: a finite number"),
    ({"events": EVENTS, "shards": True}, "shards: True is not allowed; expected: a whole number"),
    ({"events": EVENTS, "shards": 1.5}, "shards: 1.5 is not allowed; expected: a whole number"),
    (
        {"events": EVENTS, "features": ["a", {"name": "b", "size": "1"}]},
        "features[1].size: '1' is not allowed; expected: a duration such as 5m",
    ),
    (
        {"events": EVENTS, "features": [{"name": "b"}]},
        "features[0].size: missing; expected: a duration such as 5m",
    ),
    (
        {"events": EVENTS, "features": [3]},
        "features[0]: 3 is not allowed; expected: a string of at least 1 character or a mapping",
    ),
    (
        {"events": EVENTS, "features": ["a", "a"]},
        "features: ['a', 'a'] is not allowed; expected: a list without repeated items",
    ),
    (
        {"events": EVENTS, "features": list("abcd")},
        "features: ['a', 'b', 'c', 'd'] is not allowed; expected: a list of at most 3 items",
    ),
    (
        {"events": EVENTS, "pair": {"a": 1}},
        "pair: {'a': 1} is not allowed; expected: the keys a, b, which belong together",
    ),
    (
        {"events": EVENTS, True: 1},
        "document: True is not allowed; expected: keys that are strings (put the key in quotes)",
    ),
    (
        {"events": {**EVENTS, "uri": datetime.date(2013, 1, 1)}},
        "events.uri: datetime.date(2013, 1, 1) is not allowed; expected: a string of at least 1 character",
    ),
]


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder that schemas are read from, with the one above as `toy`."""
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "toy.schema.json").write_text(json.dumps(SCHEMA))
    monkeypatch.setattr(resources, "files", lambda package: tmp_path)
    validation._validator.cache_clear()
    return tmp_path


@pytest.mark.parametrize(("document", "message"), CASES, ids=[message[:40] for _, message in CASES])
def test_error_is_one_line_with_path_value_and_allowed(folder: Path, document: Any, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        validate(document, "toy")
    assert str(caught.value) == message
    assert str(pickle.loads(pickle.dumps(caught.value))) == message


def test_valid_document_passes(folder: Path) -> None:
    features = ["a", {"name": "b", "size": "5m"}]
    validate({"events": EVENTS, "features": features, "share": 1}, "toy")


def test_long_value_is_cut() -> None:
    error = SpecError("a", "x" * 500 + "\n", "less")
    assert len(str(error)) < 130
    assert str(error).startswith("a: 'xxx")


def test_note_is_printed_without_quotes() -> None:
    assert str(SpecError("a.b", MISSING, "a string")) == "a.b: missing; expected: a string"


@pytest.mark.parametrize("name", ["job", "manifest", "release", "remote"])
def test_schemas_in_the_package_are_valid(name: str) -> None:
    validation._validator.cache_clear()
    validation.schema_of.cache_clear()
    Draft202012Validator.check_schema(validation.schema_of(name))
    with pytest.raises(SpecError, match="missing"):
        validate({}, name)
