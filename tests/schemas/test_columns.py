"""Kinds of column are defined in one module; the JSON Schemas and the tables of the code must agree with it."""

import pyarrow as pa
import pytest

from schemas.columns import ARROW_TYPES, KINDS, TAKES, WRITTEN_AS, ZEROS, kind_of
from schemas.validation import schema_of


def test_schemas_of_jobs_and_manifests_list_the_kinds_of_the_code() -> None:
    of_job = schema_of("job")["$defs"]["type"]["enum"]
    of_manifest = schema_of("manifest")["properties"]["inputs"]["items"]["properties"]["type"]["enum"]
    assert list(KINDS) == of_job == of_manifest


@pytest.mark.parametrize("table", [ARROW_TYPES, ZEROS, TAKES, WRITTEN_AS])
def test_every_table_says_something_of_every_kind(table: dict[str, object]) -> None:
    assert list(table) == list(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_columns_own_type_is_of_its_kind(kind: str) -> None:
    assert kind_of(ARROW_TYPES[kind]) == kind
    assert pa.array([ZEROS[kind]], ARROW_TYPES[kind]).null_count == 0
    assert kind in TAKES[kind]
    assert kind in WRITTEN_AS[kind]
