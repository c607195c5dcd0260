"""From a raw block to events: the same events from each format, and a dead letter for everything else."""

import io
import json
from typing import Any

import fastavro
import pyarrow as pa
import pytest

from schemas import batches
from schemas.avro.files import read_blocks
from schemas.formats.raw import DecodedBlock, RawBlock
from schemas.job import EventsSpec
from transforms.decoding.decode_raw import FORMATS, decode_raw

RANGE_US = (0, 4_102_444_800_000_000)  # 1970 until 2100
COLUMNS = (("x", "number"), ("text", "string"))
SCHEMA = {
    "type": "record",
    "name": "Event",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "at", "type": "long"},
        {"name": "x", "type": ["null", "double"]},
        {"name": "text", "type": ["null", "string"]},
    ],
}
GIVEN: list[dict[str, Any]] = [
    {"id": "a", "at": 1_000, "x": 1.5, "text": "é"},
    {"id": "b", "at": 2_000, "x": None, "text": None},
    {"id": "c", "at": -1, "x": 0.0, "text": "before 1970"},
]


def avro(rows: list[dict[str, Any]], per_block: int = 100) -> RawBlock:
    stream = io.BytesIO()
    writer = fastavro.write.Writer(stream, fastavro.parse_schema(SCHEMA), "null")
    for start in range(0, len(rows), per_block):
        for row in rows[start : start + per_block]:
            writer.write(row)
        writer.dump()
    (block,) = read_blocks(io.BytesIO(stream.getvalue()))
    return RawBlock("f", block.schema, block.datums, block.data, parts=block.parts)


def json_lines(rows: list[dict[str, Any]]) -> RawBlock:
    return RawBlock("f", data=b"".join(json.dumps(row).encode() + b"\n" for row in rows))


def examples(rows: list[dict[str, Any]]) -> RawBlock:
    from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

    types = {"id": pa.binary(), "at": pa.int64(), "x": pa.float32(), "text": pa.binary()}
    columns = {
        name: pa.array([[] if row[name] is None else [row[name]] for row in rows], pa.list_(kind))
        for name, kind in types.items()
    }
    encoded = RecordBatchToExamplesEncoder(None).encode(pa.RecordBatch.from_pydict(columns))
    return RawBlock("f", records=tuple(encoded))


BLOCKS = {"avro": avro, "json": json_lines, "tfexample": examples}


def spec_of(name: str) -> EventsSpec:
    return EventsSpec("uri", name, "id", "at", None, 0, COLUMNS, RANGE_US, "us")  # type: ignore[arg-type]  # literals


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_events_and_a_letter_for_the_misfit(name: str) -> None:
    events, letters, *_ = decode_raw(BLOCKS[name](GIVEN), spec_of(name), 7)
    assert events is not None
    assert events.schema == batches.event_schema(COLUMNS)
    assert events.column(batches.EVENT_ID).to_pylist() == ["a", "b"]
    assert batches.times_us(events).tolist() == [1_000, 2_000]
    assert (events.column("x").to_pylist(), events.column("text").to_pylist()) == ([1.5, None], ["é", None])
    assert [(letter.stage, letter.error, letter.event_id, letter.at_us) for letter in letters] == [
        ("decode", "TimeOutOfRange", "c", 7)
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_payloads_are_the_original_bytes_from_which_the_event_can_be_decoded_again(name: str) -> None:
    block = BLOCKS[name](GIVEN)
    events, (letter,), *_ = decode_raw(block, spec_of(name), 7)
    assert events is not None
    originals = {
        "avro": [avro([row]).data for row in GIVEN],
        "json": block.data.splitlines(),
        "tfexample": list(block.records),
    }
    assert [*events.column(batches.PAYLOAD).to_pylist(), letter.payload] == originals[name]


@pytest.mark.parametrize("name", FORMATS)
def test_stretch_that_was_not_framed_is_one_dead_letter_with_its_bytes(name: str) -> None:
    events, letters, *_ = decode_raw(RawBlock("f@9", data=b"\x00rest", error="block is damaged"), spec_of(name), 7)
    assert events is None
    assert [(letter.error, letter.detail, letter.payload) for letter in letters] == [
        ("UnreadableInput", "f@9: block is damaged", b"\x00rest")
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_stretch_without_records_has_neither_events_nor_letters(name: str) -> None:
    empty = BLOCKS[name](GIVEN)._replace(datums=0, data=b"", parts=(), records=())
    assert decode_raw(empty, spec_of(name), 7) == DecodedBlock(None, [])


def test_damage_in_one_avro_block_costs_no_record_of_another() -> None:
    whole = avro([GIVEN[0], GIVEN[1], {**GIVEN[0], "id": "d"}], per_block=1)
    first = whole.parts[0][1]
    # The length of the second block's id now reaches beyond the end of the block.
    damaged = whole._replace(data=whole.data[:first] + b"\x7e" + whole.data[first + 1 :])
    events, letters, *_ = decode_raw(damaged, spec_of("avro"), 7)
    assert events is not None
    assert events.column(batches.EVENT_ID).to_pylist() == ["a", "d"]
    assert [letter.payload for letter in letters] == [damaged.data[first : first + whole.parts[1][1]]]
    assert letters[0].detail.startswith("f: ")


def test_line_that_is_no_json_is_a_letter_and_its_neighbours_are_events() -> None:
    block = RawBlock("f", data=json_lines(GIVEN[:1]).data + b"{nonsense\n" + json_lines(GIVEN[1:2]).data)
    events, letters, *_ = decode_raw(block, spec_of("json"), 7)
    assert events is not None
    assert events.column(batches.EVENT_ID).to_pylist() == ["a", "b"]
    assert [(letter.error, letter.payload) for letter in letters] == [("MalformedJson", b"{nonsense")]


def test_record_that_is_no_example_is_a_letter_and_its_neighbours_are_events() -> None:
    first, second = examples(GIVEN[:2]).records
    events, letters, *_ = decode_raw(RawBlock("f", records=(first, b"\xff\xff", second)), spec_of("tfexample"), 7)
    assert events is not None
    assert events.column(batches.EVENT_ID).to_pylist() == ["a", "b"]
    assert [(letter.error, letter.payload) for letter in letters] == [("MalformedExample", b"\xff\xff")]
