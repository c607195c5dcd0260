"""Vectors: what their kinds are called, that rows are views, and that bytes give back every bit."""

import io
import json
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pytest

from schemas.avro.datums import decode_block
from schemas.columns import ARROW_TYPES, TAKES, kind_of
from schemas.formats.row_texts import row_texts
from schemas.formats.tf_examples import decode_examples
from schemas.vectors import MAX_LENGTH, from_bytes, of_rows, rows_of, to_bytes, vector_of, with_lengths

NUMBERS = np.array([[1.5, -0.0, np.pi], [np.finfo(np.float32).tiny, 3e38, -1e-45]])


@pytest.mark.parametrize(
    "kind",
    ["vector[0]", "vector[07]", "vector[]", "vector[3, float64]", "vector[3,float32]", "vector", "vector[65537]"],
)
def test_other_names_are_no_vectors(kind: str) -> None:
    assert vector_of(kind) is None
    assert kind not in ARROW_TYPES
    with pytest.raises(KeyError):
        ARROW_TYPES[kind]


def test_longest_vector_is_one() -> None:
    assert ARROW_TYPES[f"vector[{MAX_LENGTH}]"] == pa.list_(pa.float32(), MAX_LENGTH)


def test_input_of_a_vector_takes_vectors_of_its_length_of_either_width() -> None:
    assert TAKES["vector[3]"] == ("vector[3]", "vector[3,float64]")
    assert TAKES["vector[3,float64]"] == ("vector[3,float64]", "vector[3]")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_share_the_memory_of_their_column(dtype: type) -> None:
    given: np.ndarray[Any, Any] = np.arange(12, dtype=dtype)
    column = pa.FixedSizeListArray.from_arrays(pa.array(given), 3)
    assert np.shares_memory(rows_of(column), given)
    assert np.shares_memory(rows_of(column.slice(1, 2)), given)
    assert rows_of(column.slice(1, 2)).tolist() == [[3, 4, 5], [6, 7, 8]]
    assert np.shares_memory(rows_of(of_rows(rows_of(column))), given)


def test_rows_of_nulls_are_nan() -> None:
    column = pa.array([[9.0, 9.0], None, [1.0, None], [3.0, 4.0]], pa.list_(pa.float32(), 2)).slice(1)
    expected = np.array([[np.nan, np.nan], [1, np.nan], [3, 4]])
    assert np.array_equal(rows_of(column), expected, equal_nan=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bytes_hold_every_bit(dtype: type) -> None:
    rows: np.ndarray[Any, Any] = NUMBERS.astype(dtype)
    column = pa.concat_arrays([of_rows(rows), pa.nulls(1, of_rows(rows).type)])
    whole = to_bytes(column)
    assert whole[2].as_py() is None
    back = np.array([from_bytes(whole[row].as_py()) for row in range(2)])
    assert (back.dtype, back.tobytes()) == (np.dtype(dtype), rows.tobytes())
    assert [value.as_py() for value in to_bytes(column.slice(1, 1))] == [whole[1].as_py()]


@pytest.mark.parametrize("value", [b"", b"<f4\0", b"<i4\0\0\0\0", b">f4\0\0\0\0"])
def test_bytes_of_something_else_are_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"expected|multiple"):
        from_bytes(value)


def test_lists_of_one_length_are_vectors() -> None:
    floats, whole = pa.array([[1.0, 2.0], None], pa.list_(pa.float32())), pa.array([[1, 2], [3, 4]])
    assert kind_of(with_lengths(floats).type) == "vector[2]"
    assert kind_of(with_lengths(whole).type) == "vector[2,float64]"
    mixed = pa.array([[1.0, 2.0], [1.0], [3.0, 4.0]])
    assert with_lengths(mixed) is mixed
    assert with_lengths(mixed, most_common=True).to_pylist() == [[1.0, 2.0], None, [3.0, 4.0]]


def test_texts_of_rows_hold_the_numbers_in_base64() -> None:
    vectors = pa.array([[9.0, 9.0], None, [1.0, 2.0]], pa.list_(pa.float32(), 2)).slice(1)
    lists = pa.array([[7], [1, -1], []], pa.list_(pa.int8())).slice(1)
    texts = row_texts(pa.record_batch({"v": vectors, "l": lists, "n": pa.array([[None], [None]], pa.list_(pa.int8()))}))
    assert texts.to_pylist() == [b'{"v":null,"l":"Af8=","n":[null]}', b'{"v":"AACAPwAAAEA=","l":"","n":[null]}']


@pytest.mark.parametrize("items", ["float", "double", "long", ["null", "double"]])
def test_avro_arrays_of_numbers_are_read_beside_a_broken_record(items: Any) -> None:
    fields = [{"name": "id", "type": "string"}, {"name": "v", "type": ["null", {"type": "array", "items": items}]}]
    schema = json.dumps({"type": "record", "name": "R", "fields": fields})
    stream = io.BytesIO()
    for row in (
        {"id": "a", "v": [1, 2, 3]},
        {"id": "b", "v": None},
        {"id": "é", "v": [4, 5, 6]},
        {"id": "d", "v": [7]},
    ):
        fastavro.schemaless_writer(stream, fastavro.parse_schema(json.loads(schema)), row)
    whole = stream.getvalue()
    damaged = whole.replace("é".encode(), b"\xff\xff")
    for data, known in ((whole, [[1, 2, 3], None, [4, 5, 6], [7]]), (damaged, [[1, 2, 3], None, [7]])):
        found = decode_block(data, 4, schema)
        assert found.rows.column("v").to_pylist() == known
        assert len(found.unreadable) == 4 - len(known)


def test_avro_arrays_of_anything_else_are_no_vectors() -> None:
    items = {"type": "array", "items": {"type": "array", "items": "float"}}
    schema = json.dumps(
        {"type": "record", "name": "R", "fields": [{"name": "v", "type": items}, {"name": "s", "type": "string"}]}
    )
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(json.loads(schema)), {"v": [[1.0]], "s": "é"})
    found = decode_block(stream.getvalue().replace("é".encode(), b"\xff\xff") + stream.getvalue(), 2, schema)
    assert with_lengths(found.rows.column("v")).type == found.rows.column("v").type


@pytest.mark.parametrize("several", [None, ("v",)])
def test_features_of_examples_with_several_values_are_lists(several: Any) -> None:
    from tensorflow.core.example.example_pb2 import Example

    records = []
    for numbers in ([1.0, 2.0], [], [3.0, 4.0]):
        example = Example()
        example.features.feature["n"].int64_list.value.append(7)
        example.features.feature["v"].float_list.value.extend(numbers)
        records.append(example.SerializeToString())
    [found] = decode_examples(records, ["n", "v"], several)
    assert found.rows.column("n").to_pylist() == [7, 7, 7]
    assert found.rows.column("v").to_pylist() == [[1.0, 2.0], None, [3.0, 4.0]]
