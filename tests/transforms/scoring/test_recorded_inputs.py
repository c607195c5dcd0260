"""Inputs out of the features on receipts: of every kind, of early receipts, and where versions are mixed."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from models.bundles.manifest import Input
from schemas.records import FEATURE_VALUE_TYPE, FEATURES_TYPE
from schemas.vectors import of_rows, to_bytes
from transforms.scoring.recorded_inputs import RecordedInputs

_KINDS = (type(None), int, float, str, bytes)


def features(*rows: dict[str, Any]) -> pa.MapArray:
    """Maps of a union, as receipts have them."""
    names = [name for row in rows for name in row]
    values = [value for row in rows for value in row.values()]
    codes = [_KINDS.index(type(value)) for value in values]
    children = [
        pa.array([value if index == code else None for value, code in zip(values, codes, strict=True)], field.type)
        for index, field in enumerate(FEATURE_VALUE_TYPE)
    ]
    union = pa.UnionArray.from_sparse(pa.array(codes, pa.int8()), children, [each.name for each in FEATURE_VALUE_TYPE])
    starts = pa.array(np.cumsum([0, *map(len, rows)]), pa.int32())
    return pa.MapArray.from_arrays(starts, pa.array(names, pa.string()), union, type=FEATURES_TYPE)


def vector(*numbers: float) -> bytes:
    found: bytes = to_bytes(of_rows(np.array([numbers], np.float32)))[0].as_py()
    return found


def taken(found: pa.MapArray, **inputs: Any) -> tuple[list[list[Any]], list[bool], list[str]]:
    columns, held, lacking = RecordedInputs(found).take([Input(name, kind) for name, kind in inputs.items()])
    return [column.to_pylist() for column in columns], held.tolist(), lacking


def test_every_kind_of_input_comes_back() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    row = {"n": 0.5, "i": 2**60 + 1, "yes": 1, "text": "€", "at": int(at.timestamp()) * 1_000_000, "v": vector(1, 2)}
    kinds = {"n": "number", "i": "integer", "yes": "boolean", "text": "string", "at": "timestamp", "v": "vector[2]"}
    columns, held, lacking = taken(features(row, dict.fromkeys(row)), **kinds)
    assert columns == [[0.5, None], [2**60 + 1, None], [True, None], ["€", None], [at, None], [[1.0, 2.0], None]]
    assert (held, lacking) == ([True, True], [])


def test_a_receipt_that_lacks_an_input_or_has_another_type_of_it_does_not_hold_it() -> None:
    rows = features({"a": 1.0, "b": "x"}, {"b": "y"}, {"b": 2, "a": 3.0}, {})
    columns, held, lacking = taken(rows, a="number", b="string")
    assert columns == [[1.0, None, 3.0, None], ["x", "y", None, None]]
    assert (held, lacking) == ([True, False, False, False], ["a", "b"])
    assert taken(rows.slice(2, 1), a="number")[0] == [[3.0]]


def test_receipts_of_one_version_may_name_inputs_whose_letters_run_on() -> None:
    rows = features({"ab": 1.0, "c": 2.0}, {"a": 3.0, "bc": 4.0})
    assert taken(rows, a="number", c="number")[0] == [[None, 3.0], [2.0, None]]


def test_whole_numbers_of_early_receipts_are_doubles() -> None:
    rows = features({"a": 7.0}, {"a": 7.5}, {"a": 2.0**60})
    assert taken(rows, a="integer") == ([[7, None, None]], [True, False, False], ["a"])
    assert taken(features({"a": 7}), a="number")[0] == [[7.0]]


def test_vectors_of_another_length_are_not_held() -> None:
    assert taken(features({"v": vector(1, 2)}, {"v": vector(1, 2, 3)}), v="vector[2]")[1] == [True, False]


def test_segments_are_texts() -> None:
    rows = RecordedInputs(features({"hour": 7, "carrier": "UA"}, {"hour": 8, "carrier": None}))
    assert rows.texts("hour").to_pylist() == ["7", "8"]
    assert rows.texts("carrier").to_pylist() == ["UA", None]
    assert rows.texts("no").to_pylist() == [None, None]
