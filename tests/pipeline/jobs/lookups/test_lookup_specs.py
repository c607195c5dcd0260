"""What a spec may not say of lookups is told with its path, before a table is read."""

from typing import Any

import pytest
import yaml

from tests.pipeline.jobs.flows import Flow, json_lines, trips

TABLE = {"uri": "planes.csv", "key": "code"}
LOOKUP = {"name": "plane", "table": TABLE, "on": "carrier", "columns": ["year", "at"]}
COUNT = {"name": "m", "aggregate": "count", "size": "1h", "every": "5m"}

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no such column": (
        {"features": ["plane.seats"]},
        "features[0]: 'plane.seats' is not allowed; expected: one of plane.year",
    ),
    "no such event column": ({"lookups": [{**LOOKUP, "on": "carier"}]}, "lookups[0].on: 'carier' is not allowed"),
    "on a table": (
        {"lookups": [{**LOOKUP, "on": "plane.year"}]},
        "lookups[0].on: 'plane.year' is not allowed; expected: an",
    ),
    "name twice": (
        {"lookups": [LOOKUP, LOOKUP]},
        "lookups[1].name: 'plane' is not allowed; expected: a name that lookups[0]",
    ),
    "more columns than the key has": (
        {"lookups": [{**LOOKUP, "on": ["carrier", "id"]}]},
        "lookups[0].on: ['carrier', 'id'] is",
    ),
    "key as time": (
        {"lookups": [{**LOOKUP, "table": {**TABLE, "valid_from": "code"}}]},
        "lookups[0].table.valid_from: 'code' is not allowed; expected: another column than lookups[0].table.key",
    ),
    "name with a point": ({"lookups": [{**LOOKUP, "name": "a.b"}]}, "lookups[0].name: 'a.b' is not allowed"),
    "no columns": ({"lookups": [{**LOOKUP, "columns": []}]}, "lookups[0].columns"),
    "missing": (
        {"lookups": [{**LOOKUP, "missing": None}]},
        "lookups[0].missing: null is not allowed; allowed: nulls, refuse",
    ),
    "time zone": (
        {"lookups": [{**LOOKUP, "table": {**TABLE, "time_zone": "Mars"}}]},
        "lookups[0].table.time_zone: 'Mars'",
    ),
    "condition of events": ({"where": "plane.year > 2000"}, "tables are joined to the events for which it is true"),
    "name of a feature": (
        {"features": [{**COUNT, "key": "carrier", "name": "plane.year"}]},
        "features[0].name: 'plane.year'",
    ),
    "topic": (
        {"lookups": [{**LOOKUP, "table": {**TABLE, "uri": "kafka://h:1/t"}}]},
        "lookups[0].table.uri: 'kafka://h:1/t'",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_lookup_is_told_with_its_path(flow: Flow, what: str) -> None:
    changes, said = dict(WRONG[what][0]), WRONG[what][1]
    flow.feed(json_lines(trips(3)))
    spec = flow.spec(**{key: changes.pop(key) for key in ("where",) if key in changes})
    outcome = flow.run(spec | {"features": ["plane.year"], "lookups": [LOOKUP], **changes})
    assert (outcome.code, said in outcome.err) == (2, True), outcome.err


def test_the_wrong_type_of_a_key_is_told_once_the_table_is_known(flow: Flow) -> None:
    (flow.root / "planes.csv").write_text("code,year,at\nA,1,2013-01-01T00:00:00Z\n")
    flow.feed(json_lines(trips(3)))
    table = {**TABLE, "uri": str(flow.root / "planes.csv")}
    lookup = {**LOOKUP, "table": table, "columns": {"year": "number", "at": "timestamp"}}
    spec = flow.spec() | {"features": [{**COUNT, "key": "plane.at"}], "lookups": [lookup]}
    outcome = flow.run(spec)
    assert (outcome.code, "features[0].key: 'plane.at' is not allowed" in outcome.err) == (2, True), outcome.err


@pytest.mark.parametrize("key", ["on", "On", "ON"])
def test_on_needs_no_quotes(flow: Flow, key: str) -> None:
    """YAML 1.1 reads the plain word as true."""
    flow.feed(json_lines(trips(3)))
    spec = flow.spec() | {"features": ["plane.year"], "lookups": [{**LOOKUP, "on": "carier"}]}
    outcome = flow.run(yaml.safe_dump(spec).replace("'on': carier", f"{key}: carier"))
    told = "lookups[0].on: 'carier' is not allowed" if key == "on" else f"lookups[0].{key}: unknown key"
    assert (outcome.code, told in outcome.err) == (2, True), outcome.err
