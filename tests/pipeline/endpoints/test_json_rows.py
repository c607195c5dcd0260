"""Records as JSON objects: the same as value by value, for every kind of column."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import msgspec
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.endpoints.json_rows import json_rows
from schemas.batches import TIME_TYPE
from schemas.records import arrow_schema
from transforms.scoring.scoring import features_map

TIME = datetime(2013, 1, 1, 0, 26, 40, 123456, UTC)


def receipts() -> pa.RecordBatch:
    """Three rows; the features are a number, a text, a whole number, and nothing."""
    inputs = {"delay": [1.5, None, math.nan], "carrier": ["UA", "Ünited", None], "seats": [2**60, None, 3]}
    features = features_map(pa.RecordBatch.from_pydict(inputs))
    columns = []
    for field in arrow_schema("Receipt"):
        value = {pa.string(): "x", pa.float64(): math.inf, pa.int64(): 2**60, TIME_TYPE: TIME}.get(field.type, False)
        if pa.types.is_list(field.type):
            columns.append(pa.array([[{"feature": "delay", "contribution": 0.5, "code": "D1"}], [], []], field.type))
        elif field.name == "features":
            columns.append(features)
        elif field.name == "lookups":
            columns.append(pa.array([[("airports", "2013"), ("planes", "7")], None, []], field.type))
        elif field.name == "base_value":
            columns.append(pa.nulls(3, field.type))
        elif field.name == "subject":
            columns.append(pa.array(["N1", None, "N3"]))
        else:
            columns.append(pa.array([value] * 3, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=arrow_schema("Receipt"))


def objects(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    return [json.loads(row) for row in json_rows(batch)]


def test_every_field_is_there_in_its_form() -> None:
    first, second, third = objects(receipts())
    assert list(first) == arrow_schema("Receipt").names
    assert (first["event_time"], first["score"], first["release"]) == ("2013-01-01T00:26:40.123456Z", None, 2**60)
    assert (first["late"], first["subject"], second["subject"]) == (False, "N1", None)
    assert first["reasons"] == [{"feature": "delay", "contribution": 0.5, "code": "D1"}]
    assert [one["lookups"] for one in (first, second, third)] == [{"airports": "2013", "planes": "7"}, None, {}]
    assert (first["base_value"], first["run"]) == (None, "x")
    assert [one["features"] for one in (first, second, third)] == [
        {"delay": 1.5, "carrier": "UA", "seats": 2**60},
        {"delay": None, "carrier": "Ünited", "seats": None},
        {"delay": None, "carrier": None, "seats": 3},
    ]


def test_features_of_numbers_only() -> None:
    inputs = pa.RecordBatch.from_pydict({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    batch = pa.RecordBatch.from_arrays([features_map(inputs)], names=["features"])
    assert objects(batch) == [{"features": {"a": 1.0, "b": 3.0}}, {"features": {"a": 2.0, "b": 4.0}}]


def test_a_part_of_a_batch_is_its_rows() -> None:
    whole = receipts()
    assert json_rows(whole.slice(1, 2)) == json_rows(whole)[1:]
    assert json_rows(whole.slice(1, 0)) == []


def test_bytes_are_base64_and_whole_seconds_have_no_fraction() -> None:
    times = pa.array([datetime(1900, 1, 1, tzinfo=UTC), None], TIME_TYPE)
    batch = pa.RecordBatch.from_arrays([pa.array([b"\xff\x00", b""]), times], names=["payload", "seen_at"])
    assert json_rows(batch.slice(0, 1)) == [b'{"payload":"/wA=","seen_at":"1900-01-01T00:00:00Z"}']
    assert json_rows(batch)[1] == b'{"payload":"","seen_at":null}'


def column(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.none() | values, min_size=5, max_size=5)


@given(
    texts=column(st.text() | st.sampled_from(['a","b', "\\", "\n", "é\u2028"])),
    numbers=column(st.floats()),
    counts=column(st.integers(-(2**63), 2**63 - 1)),
    flags=column(st.booleans()),
    times=column(st.datetimes(datetime(1900, 1, 1), datetime(3000, 1, 1), timezones=st.just(UTC))),
    first=st.integers(0, 4),
)
def test_any_value_is_what_an_encoder_of_single_values_makes_of_it(
    texts: list[Any], numbers: list[Any], counts: list[Any], flags: list[Any], times: list[Any], first: int
) -> None:
    features = features_map(pa.RecordBatch.from_pydict({"n": pa.array(numbers, pa.float64()), 'quo"ted': texts}))
    types = {"text": pa.string(), "number": pa.float64(), "count": pa.int64(), "flag": pa.bool_(), "time": TIME_TYPE}
    values = dict(zip(types, (texts, numbers, counts, flags, times), strict=True))
    arrays = [*(pa.array(values[name], kind) for name, kind in types.items()), features]
    batch = pa.RecordBatch.from_arrays(arrays, names=[*types, "features"]).slice(first)
    singly = [
        {name: values[name][row] for name in types} | {"features": {"n": numbers[row], 'quo"ted': texts[row]}}
        for row in range(first, 5)
    ]
    assert json_rows(batch) == [msgspec.json.encode(one) for one in singly]
