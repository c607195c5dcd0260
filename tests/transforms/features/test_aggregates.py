"""The table of aggregates: each entry's example is run, and a new entry is all that a new aggregate needs."""

import json
from dataclasses import replace
from typing import Any, cast

import pandas as pd
import pytest

from docs.aggregates import aggregates_region, with_aggregates
from docs.generate import SCHEMA
from pipeline.spec.checks import spec_errors
from schemas.job import FeatureSpec
from tests.reference.frames import events_batch, expected_feature
from transforms.features.aggregates import AGGREGATES, Aggregate, Example
from transforms.features.feature_state import features_of
from transforms.features.key_plans import observations, plan_key
from transforms.features.tiles import fold

MINUTE = 60_000_000
TABLE = cast(dict[str, Aggregate], AGGREGATES)
MIDDLE = replace(
    AGGREGATES["quantile"],
    of=lambda table, ranges, feature: AGGREGATES["quantile"].of(table, ranges, replace(feature, q=0.5)),
    says="the value in the middle",
    example=Example((3.0, 1.0, 2.0), 2.0),
    has_q=False,
)


def answered(name: str, example: Example) -> tuple[Any, Any]:
    """What the aggregate is, by tiles and by the reference, for an event ten minutes after the first of the values of
    an example, which are a minute apart."""
    kind = "string" if isinstance(example.values[0], str) else "number"
    value = [*example.values, None]
    minutes = [*range(len(example.values)), 10]
    events = pd.DataFrame({"id": [f"e{minute}" for minute in minutes], "key": "k", "value": value})
    events["departed_at"] = [minute * MINUTE for minute in minutes]
    feature = FeatureSpec("f", "key", "value", name, 10 * MINUTE, 5 * MINUTE, example.q)
    feature = replace(feature, half_life_us=example.half_life_us)
    plan = plan_key([feature], "key")
    rows = observations(plan, events_batch(events, {"key": "string", "value": kind}))
    found = features_of(plan, fold(plan, rows, 100), rows).column("f").to_pylist()
    return found[-1], expected_feature(events, feature)[-1] if name != "middle" else None


@pytest.mark.parametrize("name", AGGREGATES)
def test_the_example_of_an_aggregate_holds_by_tiles_and_by_the_reference(name: str) -> None:
    example = AGGREGATES[name].example
    assert answered(name, example) == (example.answer, example.answer)


def test_an_aggregate_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TABLE, "middle", MIDDLE)
    assert answered("middle", MIDDLE.example)[0] == 2.0
    assert "| `middle` | any kind but string | number | the value in the middle |" in aggregates_region(SCHEMA)
    schema = json.loads(with_aggregates(SCHEMA.read_text("utf-8")))
    assert schema["$defs"]["windowed"]["properties"]["aggregate"]["enum"] == list(AGGREGATES)
    feature = {"name": "m", "key": "k", "column": "x", "aggregate": "middle", "size": "1h", "every": "5m", "q": 0.5}
    events = {"uri": "e", "format": "json", "event_id": "id", "event_time": "at"}
    [error] = spec_errors({"events": events, "features": [feature]})
    assert str(error) == "features[0].q: 0.5 is not allowed; expected: no q: only quantile has one"


@pytest.mark.parametrize("each", AGGREGATES.values(), ids=AGGREGATES)
def test_an_entry_is_of_one_piece(each: Aggregate) -> None:
    assert each.holistic or not each.exact_only
    assert each.of_texts or not isinstance(each.example.values[0], str)
    assert each.has_q == (each.example.q is not None)
    assert each.has_half_life == (each.example.half_life_us is not None)
    assert each.kind("string") == ("string" if each.gives == "own" else each.gives)
