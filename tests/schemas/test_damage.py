"""Damaged bytes never raise an error and are never lost: every record is decoded or is in an unreadable piece."""

import io
import json

import fastavro
import pytest
from apache_beam.io.tfrecordio import _TFRecordUtil
from hypothesis import given
from hypothesis import strategies as st

from pipeline.endpoints.files.formats import EventFile, blocks_of
from schemas.avro.datums import decode_block
from schemas.avro.files import read_blocks
from schemas.formats.json_lines import decode_lines
from tests.pipeline.jobs.flows import COLUMNS, SCHEMA, container, json_lines, trips

FLIPS = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4)
SYNC = b"0123456789abcdef"


def flipped(content: bytes, flips: list[tuple[int, int]]) -> bytes:
    """The bytes with some of them replaced."""
    changed = bytearray(content)
    for offset, value in flips:
        changed[offset % len(changed)] = value
    return bytes(changed)


@pytest.mark.parametrize("codec", ["null", "deflate", "zstandard"])
@given(flips=FLIPS)
def test_flips_in_a_container_never_raise_and_lose_no_byte(codec: str, flips: list[tuple[int, int]]) -> None:
    content = flipped(container(trips(40), codec=codec), flips)
    blocks = list(read_blocks(io.BytesIO(content)))
    for block in blocks:
        if block.error:
            assert content[block.offset : block.offset + len(block.data)] == block.data
            continue
        decoded = decode_block(block.data, block.datums, block.schema)
        assert len(decoded.rows) == len(decoded.payloads)
        pieces = [*decoded.payloads.to_pylist(), *(piece.payload for piece in decoded.unreadable)]
        assert sorted(b"".join(pieces)) == sorted(block.data)


@given(flips=FLIPS)
def test_flips_in_json_lines_never_raise_and_every_line_is_accounted_for(flips: list[tuple[int, int]]) -> None:
    content = flipped(json_lines(trips(20)), flips)
    decoded = decode_lines(content, list(COLUMNS.items()), "id", "at")
    lines = [line for line in content.split(b"\n") if line.strip()]
    assert sorted([*decoded.payloads.to_pylist(), *(bad.payload for bad in decoded.unreadable)]) == sorted(lines)
    assert len(decoded.rows) == len(decoded.payloads)


def tfrecords(records: list[bytes]) -> bytes:
    stream = io.BytesIO()
    for record in records:
        _TFRecordUtil.write_record(stream, record)
    return stream.getvalue()


@given(flips=FLIPS)
def test_flips_in_tfrecords_never_raise_and_lose_no_byte(flips: list[tuple[int, int]]) -> None:
    content = flipped(tfrecords([b"record %d" % number for number in range(20)]), flips)
    blocks = list(blocks_of(EventFile(io.BytesIO(content), None), "file", "tfexample"))
    kept = sum(16 + len(record) for block in blocks for record in block.records)
    assert kept + sum(len(block.data) for block in blocks) == len(content)


def test_tfrecord_with_damaged_data_costs_no_other_record() -> None:
    content = tfrecords([b"first", b"second", b"third"]).replace(b"second", b"sEcond")
    blocks = list(blocks_of(EventFile(io.BytesIO(content), None), "file", "tfexample"))
    assert [record for block in blocks for record in block.records] == [b"first", b"third"]
    (damaged,) = [block for block in blocks if block.error]
    assert b"sEcond" in damaged.data


def test_truncated_tfrecord_keeps_its_complete_records() -> None:
    content = tfrecords([b"first", b"second"])[:-3]
    blocks = list(blocks_of(EventFile(io.BytesIO(content), None), "file", "tfexample"))
    assert [record for block in blocks for record in block.records] == [b"first"]
    assert content.endswith(next(block.data for block in blocks if block.error))


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.none() | TEXTS,
            "at": st.none() | st.integers(-(2**63), 2**63 - 1),
            "delay": st.none() | st.floats(allow_nan=False),
            "distance": st.none() | st.integers(-(2**63), 2**63 - 1),
            "carrier": st.none() | TEXTS,
        }
    ),
    min_size=1,
    max_size=30,
)
BARE = {**SCHEMA, "fields": [{**f, "type": ["null", "long"]} if f["name"] == "at" else f for f in SCHEMA["fields"]]}
WITH_BYTES = {**BARE, "fields": [*BARE["fields"], {"name": "raw", "type": "bytes"}]}


@pytest.mark.parametrize("schema", [BARE, WITH_BYTES], ids=["columnar", "one by one"])
@given(rows=ROWS)
def test_random_records_come_back_with_the_bytes_fastavro_wrote(schema: dict[str, object], rows: list[dict]) -> None:  # type: ignore[type-arg]  # any record
    parsed, datums = fastavro.parse_schema(schema), []
    rows = [{**row, **({"raw": b"\xff"} if schema is WITH_BYTES else {})} for row in rows]
    for row in rows:
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, parsed, row)
        datums.append(stream.getvalue())
    decoded = decode_block(b"".join(datums), len(rows), json.dumps(schema))
    assert decoded.unreadable == ()
    assert decoded.payloads.to_pylist() == datums
    assert decoded.rows.to_pylist() == rows
