"""Records to Avro files and back: everything that a scorer may have read keeps its value and its type."""

import io
import json
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.avro.datums import decode_block, joined_bytes
from schemas.avro.files import AvroFileWriter, read_blocks
from schemas.avro.record_datums import encode_records
from schemas.records import FEATURE_VALUE_TYPE, FEATURES_TYPE, avsc
from schemas.vectors import from_bytes
from transforms.scoring.scoring import features_map

FEATURES = [field for field in json.loads(avsc("Receipt"))["fields"] if field["name"] == "features"]
SCHEMA = json.dumps({"type": "record", "name": "R", "fields": FEATURES})
NAMES = [field.name for field in FEATURE_VALUE_TYPE]
KINDS = (type(None), int, float, str, bytes)


def features_of(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    """Rows of a record with features only, each value under the branch of its Python type."""
    values = [value for row in rows for value in row.values()]
    codes = [KINDS.index(type(value)) for value in values]
    children = [
        pa.array([value if index == code else None for value, code in zip(values, codes, strict=True)], field.type)
        for index, field in enumerate(FEATURE_VALUE_TYPE)
    ]
    union = pa.UnionArray.from_sparse(pa.array(codes, pa.int8()), children, NAMES)
    starts = [sum(len(row) for row in rows[:index]) for index in range(len(rows) + 1)]
    keys = pa.array([name for row in rows for name in row], pa.string())
    column = pa.MapArray.from_arrays(pa.array(starts, pa.int32()), keys, union, type=FEATURES_TYPE)
    return pa.RecordBatch.from_arrays([column], ["features"])


def read_back(batch: pa.RecordBatch) -> list[Any]:
    stream = io.BytesIO()
    AvroFileWriter(stream, SCHEMA).write(batch)
    stream.seek(0)
    rows: list[Any] = list(fastavro.reader(stream))
    return [row["features"] for row in rows]


VALUES = st.none() | st.floats(allow_nan=False) | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5)
ROWS = st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=4), min_size=1, max_size=6)
WITH_BYTES = st.lists(st.dictionaries(st.text(max_size=3), VALUES | st.binary(max_size=5), max_size=4), min_size=1)


def typed(rows: list[Any]) -> list[Any]:
    return [{name: (type(value), value) for name, value in row.items()} for row in rows]


@pytest.mark.parametrize("rows", [ROWS, WITH_BYTES], ids=["columnar", "with bytes"])
def test_scorer_inputs_keep_value_and_type_in_receipts(rows: Any) -> None:
    @given(rows)
    def check(found: list[dict[str, Any]]) -> None:
        assert typed(read_back(features_of(found))) == typed(found)

    check()


@pytest.mark.parametrize("last", [{"c": "x"}, {"c": b"\xff"}], ids=["columnar", "with bytes"])
def test_a_part_of_a_batch_is_its_rows(last: dict[str, Any]) -> None:
    rows: list[dict[str, Any]] = [{"a": 1.5, "b": 2}, {}, {"a": 2**53 + 1}, last]
    assert typed(read_back(features_of(rows).slice(1, 3))) == typed(rows[1:])
    assert typed(read_back(features_of(rows).slice(0, 2))) == typed(rows[:2])


def test_datums_without_bytes_are_those_of_the_whole_schema() -> None:
    rows = [{"a": 1.5, "b": 7, "c": "x", "d": None}]
    stream = io.BytesIO()
    named = {"a": ("double", 1.5), "b": ("long", 7), "c": ("string", "x"), "d": None}
    fastavro.schemaless_writer(stream, fastavro.parse_schema(json.loads(SCHEMA)), {"features": named})
    assert encode_records(features_of(rows), SCHEMA).to_pylist() == [stream.getvalue()]


def test_integers_and_booleans_are_read_as_whole_numbers() -> None:
    inputs = pa.RecordBatch.from_pydict(
        {"n": pa.array([2**53 + 1, None], pa.int64()), "b": [True, False], "x": [1.0, None], "t": ["a", None]}
    )
    batch = pa.RecordBatch.from_arrays([features_map(inputs)], ["features"])
    expected = [{"n": 2**53 + 1, "b": 1, "x": 1.0, "t": "a"}, {"n": None, "b": 0, "x": None, "t": None}]
    assert typed(read_back(batch)) == typed(expected)


@pytest.mark.parametrize("length", [1, 3])
def test_vectors_and_texts_beside_each_other_are_read_back(length: int) -> None:
    vectors = pa.array([[float(row)] * length for row in range(4)], pa.list_(pa.float32(), length))
    holes = pa.array([[1.0] * length, None, None, [2.0] * length], pa.list_(pa.float64(), length))
    texts = pa.array(["", "b", "c\u00e9", "d"])
    for columns in ({"v": vectors}, {"t": texts, "v": vectors}, {"v": holes, "w": vectors, "t": texts, "u": texts}):
        whole = pa.RecordBatch.from_pydict(columns)
        for inputs in (whole, whole.slice(1, 2), whole.slice(4)):
            batch = pa.RecordBatch.from_arrays([features_map(inputs)], ["features"])
            expected = [{name: bytes_of(value) for name, value in row.items()} for row in inputs.to_pylist()]
            found = [{name: bytes_of(value) for name, value in row.items()} for row in read_back(batch)]
            assert found == expected


def bytes_of(value: Any) -> Any:
    """A vector's numbers, of a list or of its bytes."""
    return from_bytes(value).tolist() if isinstance(value, bytes) else value


def test_features_of_more_bytes_than_can_be_decoded_at_once_stay_what_they_are() -> None:
    # Receipts of many inputs, as large blocks of them: 100,000 with 14 inputs are as many bytes.
    rows = [{"name": "x" * 20_000, "n": index} for index in range(3_000)]
    batch = features_of(rows)
    block = joined_bytes(encode_records(batch, SCHEMA)).to_pybytes()
    assert len(block) > 45_000_000
    found = decode_block(block, len(rows), SCHEMA)
    assert found.rows.column("features").to_pylist() == batch.column("features").to_pylist()
    assert found.payloads.equals(encode_records(batch, SCHEMA))


def test_a_batch_of_many_bytes_is_written_as_several_blocks_and_read_in_pieces_that_can_be_decoded() -> None:
    rows = [{"name": "x" * 20_000, "n": index} for index in range(3_000)]
    stream = io.BytesIO()
    AvroFileWriter(stream, SCHEMA).write(features_of(rows))
    stream.seek(0)
    blocks = list(read_blocks(stream))
    assert all(len(block.data) < 45_000_000 and not block.error for block in blocks)
    assert max(size for block in blocks for _, size in block.parts) < 17_000_000
    assert sum(block.datums for block in blocks) == 3_000
    decoded = [decode_block(block.data, block.datums, SCHEMA).rows for block in blocks]
    assert [row["features"] for each in decoded for row in each.to_pylist()] == [list(row.items()) for row in rows]


def test_records_without_bytes_are_one_block() -> None:
    stream = io.BytesIO()
    schema = json.dumps({"type": "record", "name": "R", "fields": [{"name": "none", "type": "null"}]})
    AvroFileWriter(stream, schema).write(pa.RecordBatch.from_arrays([pa.nulls(3)], ["none"]))
    stream.seek(0)
    assert list(fastavro.reader(stream)) == [{"none": None}] * 3
