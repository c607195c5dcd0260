"""Avro containers in each codec of Avro's specification: read, and damage is a letter of its own block."""

import io
import zlib
from collections.abc import Sequence
from typing import Any

import fastavro
import pyarrow as pa
import pytest

from schemas.avro.datums import zigzag_varint
from schemas.avro.files import read_blocks
from tests.pipeline.jobs.flows import COLUMNS, SCHEMA, Flow, container, trips

SYNC = b"0123456789abcdef"


def snappy_blocks(records: Sequence[Any], per_block: int = 10) -> list[bytes]:
    """A container in snappy as Kafka Connect and Hadoop write it: its header, then its blocks."""
    parsed = fastavro.parse_schema(SCHEMA)
    pieces = [container([], codec="null").replace(b"\x14avro.codec\x08null", b"\x14avro.codec\x0csnappy")]
    for start in range(0, len(records), per_block):
        stream = io.BytesIO()
        for record in records[start : start + per_block]:
            fastavro.schemaless_writer(stream, parsed, record)
        data = pa.compress(stream.getvalue(), "snappy", asbytes=True)
        body = data + zlib.crc32(stream.getvalue()).to_bytes(4, "big")
        count = len(records[start : start + per_block])
        pieces.append(zigzag_varint(count) + zigzag_varint(len(body)) + body + SYNC)
    return pieces


@pytest.mark.parametrize("columns", [None, COLUMNS])
def test_snappy_is_read(flow: Flow, columns: dict[str, str] | None) -> None:
    flow.feed(b"".join(snappy_blocks(trips(30))))
    flow.feed(b"".join(snappy_blocks(trips(1, 50))), "in.1")
    outcome = flow.run(flow.spec("avro") if columns is None else flow.spec("avro", columns=columns))
    assert (outcome.code, outcome.summary["scored"], flow.letters()) == (0, 31, []), outcome.err


@pytest.mark.parametrize(
    ("offset", "says"), [(-17, "the checksum of the block is wrong"), (12, "snappy"), (2, "snappy")]
)
def test_damage_of_a_snappy_block_is_its_own_letter(flow: Flow, offset: int, says: str) -> None:
    pieces = snappy_blocks(trips(30))
    damaged = bytearray(pieces[2])
    damaged[offset] ^= 0x7F
    flow.feed(b"".join([*pieces[:2], damaged, *pieces[3:]]))
    outcome = flow.run(flow.spec("avro", columns=COLUMNS))
    assert (outcome.code, outcome.summary["scored"]) == (0, 20), outcome.err
    (letter,) = flow.letters()
    assert (letter["payload"], "block is damaged" in letter["detail"], says in letter["detail"]) == (
        damaged,
        True,
        True,
    )


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz", "zstandard"])
def test_each_codec_is_read_in_pieces_of_any_size(codec: str) -> None:
    class Trickle(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or -1, 7))

    content = container(trips(30), codec=codec)
    blocks = list(read_blocks(Trickle(content), target_records=10))
    assert [(block.datums, block.error) for block in blocks] == [(10, "")] * 3
    assert b"".join(block.data for block in blocks) in container(trips(30), codec="null", per_block=100)


def test_block_that_inflates_without_end_is_a_letter(flow: Flow) -> None:
    bomb = zlib.compressobj(wbits=-15)
    data = b"".join(bomb.compress(bytes(2**20)) for _ in range(257)) + bomb.flush()
    whole = container(trips(20))
    flow.feed(whole + zigzag_varint(1) + zigzag_varint(len(data)) + data + SYNC + container(trips(5, 30))[-400:])
    outcome = flow.run(flow.spec("avro", columns=COLUMNS))
    assert (outcome.code, outcome.summary["scored"] >= 20) == (0, True), outcome.err
    assert any("inflates to more than 268435456 bytes" in letter["detail"] for letter in flow.letters())


def test_unknown_codec_is_named_with_those_that_are_read(flow: Flow) -> None:
    flow.feed(container(trips(10), codec="null").replace(b"\x14avro.codec\x08null", b"\x14avro.codec\x06lz4"))
    outcome = flow.run(flow.spec("avro", columns=COLUMNS))
    assert (outcome.code, outcome.summary["scored"]) == (1, 0)
    (letter,) = flow.letters()
    assert "codec 'lz4' is not read; allowed: null, deflate, bzip2, xz, zstandard, snappy" in letter["detail"]
