"""Kinds of column are defined in one module; the JSON Schemas and the tables of the code must agree with it."""

import pyarrow as pa
import pytest

from schemas.columns import ALLOWED, ARROW_TYPES, KINDS, TAKES, WRITTEN_AS, ZEROS, kind_of
from schemas.validation import schema_of
from schemas.vectors import PATTERN


def test_schemas_of_jobs_and_manifests_list_the_kinds_of_the_code() -> None:
    of_job = schema_of("job")["$defs"]["type"]
    of_manifest = schema_of("manifest")["properties"]["inputs"]["items"]["properties"]["type"]
    assert of_job["pattern"] == of_manifest["pattern"] == rf"^({'|'.join((*KINDS, PATTERN))})$(?!\n)"
    assert of_job["allowed"] == of_manifest["allowed"] == ALLOWED


@pytest.mark.parametrize("table", [ARROW_TYPES, ZEROS, TAKES, WRITTEN_AS])
def test_every_table_says_something_of_every_kind(table: dict[str, object]) -> None:
    assert list(table) == list(KINDS)


@pytest.mark.parametrize("kind", [*KINDS, "vector[3]", "vector[2,float64]"])
def test_a_columns_own_type_is_of_its_kind(kind: str) -> None:
    assert kind_of(ARROW_TYPES[kind]) == kind
    assert pa.array([ZEROS[kind]], ARROW_TYPES[kind]).null_count == 0
    assert kind in TAKES[kind]
    written = {"timestamp": "integer"}.get(kind, kind if kind in KINDS else "number")
    assert WRITTEN_AS[kind][-1] == written
