"""The definitions of a version name the tables that its features read, also through other features."""

import json
from dataclasses import replace
from typing import Any

import pytest

from schemas.job import DerivedSpec, EventsSpec, FeatureSpec, FeaturesSpec, LookupSpec
from schemas.score_ids import definitions_text, tables_read

RECORDS = EventsSpec("file:///t.csv", "csv", "code", "code", None, 0, (), (0, 1), "us", time_format="date")
COLUMNS = (("year", "integer"), ("maker", "string"))
PLANE = LookupSpec("plane", "tailnum", "code", "since", COLUMNS, False, 10, "0123456789abcdef", RECORDS, ("/t.csv",))
PORT = replace(PLANE, name="port", valid_from=None, version="fedcba9876543210")
BY_MAKER = FeatureSpec("by_maker", "plane.maker", None, "count", 10, 10, reads=("plane.maker",))
OLD = FeatureSpec("old", "k", None, "count", 10, 10, where="(plane.year < 2000)", reads=("plane.year",))
AGE = DerivedSpec("age", "(2013 - plane.year)", "number", reads=("plane.year",))
SHARE = DerivedSpec("share", "(old / by_maker)", "number", late=True, reads=("by_maker", "old"))
WINDOWED = FeaturesSpec(("delay", "plane.year", "age"), (BY_MAKER, OLD), 0, 1, 16, (AGE, SHARE), lookups=(PLANE, PORT))


@pytest.mark.parametrize(
    ("names", "read"),
    [
        (["delay"], []),
        (["plane.year"], ["year"]),
        (["age"], ["year"]),
        (["by_maker"], ["maker"]),
        (["old"], ["year"]),
        (["delay", "share"], ["maker", "year"]),
    ],
)
def test_tables_are_those_that_are_read_directly_or_through_features(names: list[str], read: list[str]) -> None:
    stated: list[dict[str, Any]] = json.loads(definitions_text(WINDOWED, names)).get("lookups", [])
    assert [(one["name"], sorted(one["columns"])) for one in stated] == ([("plane", read)] if read else [])
    assert tables_read(WINDOWED, names) == ({"plane": PLANE.version} if read else {})


def test_another_content_key_or_form_of_times_is_another_definition_and_another_limit_is_none() -> None:
    def text(plane: LookupSpec) -> str:
        return definitions_text(replace(WINDOWED, lookups=(plane,)), ["plane.year"])

    others = [
        replace(PLANE, version="x"),
        replace(PLANE, on="engine"),
        replace(PLANE, key="id"),
        replace(PLANE, valid_from="from"),
        replace(PLANE, records=replace(RECORDS, time_zone="Europe/Berlin")),
        replace(PLANE, columns=(("year", "number"), ("maker", "string"))),
    ]
    assert len({text(PLANE), *map(text, others)}) == 7
    same = replace(PLANE, refuses=True, max_rows=11, paths=("/u.csv",), columns=(*COLUMNS, ("seats", "integer")))
    assert text(same) == text(PLANE)


def test_jobs_without_lookups_have_the_definitions_that_they_had() -> None:
    without = replace(WINDOWED, lookups=())
    assert "lookups" not in json.loads(definitions_text(without, ["by_maker", "old", "share"]))
