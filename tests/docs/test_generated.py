"""The pages that are generated from the schemas are up to date, and what the schemas state is true."""

import doctest
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from docs import record_fields, tables
from docs.generate import PAGES, ROOT, SCHEMA, page_text
from models.admission.admission import DEFAULT_TIMEOUT_S
from pipeline.spec.job import job_document, parse_job
from schemas.job import DEFAULT_MAX_BUNDLE_BYTES
from schemas.keys import defaults_of, keys_of
from schemas.records import RECORDS
from schemas.times import parse_duration_us
from schemas.validation import schema_of, validate
from transforms.features.aggregates import AGGREGATES

MINIMAL: dict[str, Any] = {
    "job": "j",
    "events": {"uri": "e.avro", "format": "avro", "event_id": "id", "event_time": "at"},
    "features": ["x"],
    "model": {"name": "m", "store": "s"},
}
KEYS = list(keys_of("job"))


@pytest.mark.parametrize("page", [SCHEMA, *PAGES], ids=lambda page: page.name)
def test_page_is_what_make_docs_writes(page: Path) -> None:
    assert page.read_text("utf-8") == page_text(page), "stale: run `make docs`"


def test_every_key_of_a_spec_is_on_the_page_with_a_meaning_and_an_example() -> None:
    page = (ROOT / "docs" / "job.md").read_text("utf-8")
    assert [key.path for key in KEYS if not key.schema.get("description")] == []
    leaves = [key for key in KEYS if key.schema.get("type") != "object" or "examples" in key.schema]
    assert [key.path for key in leaves if not key.schema.get("examples")] == []
    assert [key.path for key in KEYS if f"{key.path.split('.')[-1].split('[].')[-1]}`" not in page] == []


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.path)
def test_defaults_and_examples_of_a_key_are_allowed(key: Any) -> None:
    schema = {**key.schema, "$defs": schema_of("job")["$defs"]}
    validator = Draft202012Validator(schema)
    values = [*key.schema.get("examples", ()), *([key.schema["default"]] if "default" in key.schema else ())]
    assert [error.message for value in values for error in validator.iter_errors(value)] == []


def test_the_example_is_a_valid_spec() -> None:
    for example in schema_of("job")["examples"]:
        validate(example, "job")


def test_an_empty_spec_has_the_defaults_that_the_page_shows() -> None:
    shown = defaults_of("job")
    job = parse_job(MINIMAL, {"x": "number"})
    document = job_document(MINIMAL, job)
    for path in ("events.max_out_of_orderness", "events.time_unit", "windows.shards", "model.poll"):
        section, key = path.split(".")
        assert document[section][key] == shown[path], path
    assert job.drift.window_us == parse_duration_us(shown["drift.window"])
    assert (job.drift.psi_threshold, job.drift.ks_threshold) == (shown["drift.psi"], shown["drift.ks"])
    assert job.model.max_bundle_bytes == DEFAULT_MAX_BUNDLE_BYTES == shown["model.max_bytes"]
    assert job.model.admission_timeout_us == DEFAULT_TIMEOUT_S * 1e6
    assert (job.model.allow_pickle, job.sinks.format) == (False, "avro")


def test_stated_value_takes_precedence_over_the_default() -> None:
    stated = {**MINIMAL, "drift": {"psi": 0.5}, "windows": {"shards": 3}, "model": {**MINIMAL["model"], "poll": "1m"}}
    job = parse_job(stated, {"x": "number"})
    assert (job.drift.psi_threshold, job.features.shards, job.model.poll_us) == (0.5, 3, 60_000_000)
    assert job.drift.ks_threshold == defaults_of("job")["drift.ks"]


def test_every_field_of_a_record_says_what_it_is() -> None:
    for record in RECORDS:
        schema = json.loads((ROOT / "schemas" / "avsc" / f"{record}.avsc").read_text("utf-8"))
        assert [field["name"] for field in schema["fields"] if not field.get("doc")] == [], record


def test_the_aggregates_of_the_schema_are_those_of_the_code() -> None:
    assert schema_of("job")["$defs"]["windowed"]["properties"]["aggregate"]["enum"] == list(AGGREGATES)


@pytest.mark.parametrize("module", [tables, record_fields], ids=lambda module: module.__name__)
def test_examples_of_what_makes_the_pages_hold(module: Any) -> None:
    done = doctest.testmod(module)
    assert (done.failed, done.attempted > 0) == (0, True)
