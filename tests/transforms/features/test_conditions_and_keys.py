"""Conditions of windowed features, and keys of several columns, against the reference for streams."""

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import batches
from schemas.job import FeatureSpec
from tests.reference.frames import differences, events_batch
from tests.reference.reference import AFTER_ALL, BEFORE_ALL
from tests.reference.streaming import streaming_feature
from transforms.features.feature_state import FeatureState, advance
from transforms.features.key_plans import observations, plan_key

MINUTE = 60_000_000
COLUMNS = {"origin": "string", "carrier": "string", "value": "number"}
WHERE = "(carrier = 'U|A') AND (value > 0)"
KEY = ("origin", "carrier")
WINDOWS = [
    ("n", None, "count", None),
    ("of_values", "value", "count", None),
    ("total", "value", "sum", None),
    ("median", "value", "quantile", 0.5),
    ("latest", "value", "last", None),
]
GROUPS: list[tuple[str | tuple[str, ...], str | None]] = [
    *(("origin", WHERE), ("origin", None), (KEY, WHERE), (KEY, None), ((), WHERE)),
]
FEATURES = [
    FeatureSpec(f"{name}{index}", key, column, aggregate, 10 * MINUTE, 5 * MINUTE, q, where=where)
    for index, (key, where) in enumerate(GROUPS)
    for name, column, aggregate, q in WINDOWS
]
event = st.tuples(
    st.integers(0, 60), st.sampled_from(["J", "a|b", "a\\", None]), st.sampled_from(["U|A", "b|U|A", None]),
    st.sampled_from([None, 1.0, 2.5, -4.0]),
)  # fmt: skip
arrivals = st.lists(st.tuples(st.integers(0, 30), st.lists(event, min_size=1, max_size=6)), min_size=1, max_size=8)


def frames_of(batches_of_rows: list[list[tuple[Any, ...]]]) -> list[pd.DataFrame]:
    frames, number = [], 0
    for rows in batches_of_rows:
        made = pd.DataFrame(rows, columns=["minute", *COLUMNS]).astype(dict.fromkeys(COLUMNS, object))
        made["departed_at"] = made["minute"].astype("int64") * MINUTE
        made["id"] = [f"{number + index:03d}" for index in range(len(rows))]
        frames.append(made)
        number += len(rows)
    return frames


def played(frames: list[pd.DataFrame], watermarks: list[int], key: Any) -> dict[int, dict[str, Any]]:
    """Features by row number of one key."""
    plan, state, rows = plan_key(FEATURES, key), FeatureState(), dict[int, dict[str, Any]]()
    for frame, watermark in zip([*frames, None], [*watermarks, AFTER_ALL], strict=True):
        for at_us in (watermark, None):
            due, *_ = advance(plan, state, state.watermark_us if at_us is None else at_us, 7 * MINUTE, 4096)
            rows |= {} if due is None else {row[batches.ROW]: row for row in due.to_pylist()}
            if at_us is not None and frame is not None:
                numbers = pa.array([int(name) for name in frame["id"]])
                seen = observations(plan, batches.with_column(events_batch(frame, COLUMNS), batches.ROW, numbers))
                state.waiting.append(seen)
                state.open_rows.append(seen)
    return rows


def marked(frame: pd.DataFrame, feature: FeatureSpec) -> pd.DataFrame:
    """The frame with the feature's key, and its values where the condition is true (1 for none), else null."""
    parts = [feature.key] if isinstance(feature.key, str) else list(feature.key)
    rows = frame.to_dict("records")
    keys: list[list[Any]] = [[row[part] for part in parts] for row in rows]
    texts: list[Any] = [None if any(pd.isna(part) for part in key) else repr(key) for key in keys]
    told = frame.assign(key=texts)
    fits = [row["carrier"] == "U|A" and bool(row["value"]) and row["value"] > 0 for row in rows]
    true = [feature.where is None or fit for fit in fits]
    values = [1] * len(told) if feature.column is None else told[feature.column].tolist()
    told["seen"] = pd.Series([v if yes else None for v, yes in zip(values, true, strict=True)], told.index, object)
    return told


def expected(frames: list[pd.DataFrame], watermarks: list[int], feature: FeatureSpec) -> list[Any]:
    size, every = (pd.Timedelta(us, "us") for us in (feature.size_us or 0, feature.every_us))
    values = streaming_feature(
        [marked(frame, feature) for frame in frames], watermarks, key="key", column="seen", aggregate=feature.aggregate,
        size=size, every=every, allowed_lateness=pd.Timedelta(7, "min"), q=feature.q,
    )  # fmt: skip
    return [None if pd.isna(value) else value for value in values]


@settings(max_examples=10, deadline=None)
@given(arrivals)
def test_conditions_and_keys_are_those_of_the_reference_for_late_events_too(story: list[tuple[int, list[Any]]]) -> None:
    rises, rows = zip(*story, strict=True)
    frames = frames_of(list(rows))
    watermarks = [sum(rises[: index + 1]) * MINUTE if index else BEFORE_ALL for index in range(len(rises))]
    found: dict[int, dict[str, Any]] = {}
    for key in ("origin", KEY, ()):
        for row, values in played(frames, watermarks, key).items():
            found.setdefault(row, {}).update(values)
    for feature in FEATURES:
        mine = [found[row][feature.name] for row in range(len(found))]
        assert differences(mine, expected(frames, watermarks, feature)) == [], (feature.name, feature.key)


def test_features_of_equal_columns_and_conditions_share_their_tiles() -> None:
    plan = plan_key(FEATURES, "origin")
    assert len(plan.sources) == 4  # all events and the values, each with the condition and without


@pytest.mark.parametrize(
    ("one", "other"), [(("a|b", "c"), ("a", "b|c")), (("a\\", "|c"), ("a\\|", "c")), (("", "|"), ("|", ""))]
)
def test_different_values_of_several_columns_are_different_keys(one: tuple[Any, str], other: tuple[Any, str]) -> None:
    texts = [batches.keys_of(pa.record_batch({"a": [a], "b": [b]}), ("a", "b"))[0].as_py() for a, b in (one, other)]
    assert texts[0] != texts[1]


def test_parts_of_a_key_are_the_texts_of_single_keys() -> None:
    batch = pa.record_batch({"a": [7.0, -0.0, None, 2.5], "b": [True, None, False, True]})
    assert batches.keys_of(batch, ("a", "b")).to_pylist() == ["7|true", None, None, "2.5|true"]
    assert batches.keys_of(batch, ()).to_pylist() == [""] * 4
    assert batches.keys_of(batch, "a").to_pylist() == ["7", "0", None, "2.5"]
