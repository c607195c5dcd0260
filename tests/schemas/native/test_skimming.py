"""Records that are walked in compiled code have the columns and the bytes that decoding finds, and no others do."""

import io
import json
import random
from importlib import resources
from typing import Any

import fastavro
import numpy as np
import pytest

from schemas.avro.datums import decode_block
from schemas.native import compiled
from schemas.native.skimming import skimmed
from schemas.records import avsc
from tests.audit.containers import receipt
from tests.models.privacy.receipts import datums, made_receipts
from tests.schemas.native.built import each, used

__all__ = ["each", "used"]
NAMES = ("score_id", "event_id", "subject", "event_time", "scored_at", "model", "version", "role", "release", "at")


def assert_same(data: bytes, count: int, schema: str, names: tuple[str, ...] = NAMES) -> bool:
    """Whether the records are skimmed; then decoding finds the same."""
    found, decoded = skimmed(data, count, schema, names), decode_block(data, count, schema)
    if found is None:
        return False
    assert not decoded.unreadable
    assert found.datums.equals(decoded.payloads)
    wanted = [name for name in found.rows.schema.names if name in names]
    assert found.rows.equals(decoded.rows.select(wanted))
    found.rows.validate(full=True)
    return True


@pytest.mark.parametrize("rows", [0, 1, 8, 9, 300])
def test_receipts_are_skimmed(used: pytest.MonkeyPatch, rows: int) -> None:
    written = datums(made_receipts(rows, rows))
    assert assert_same(b"".join(written), rows, avsc("Receipt"))
    assert not assert_same(b"".join(written) + b"\0", rows, avsc("Receipt"))
    used.setattr(compiled, "EACH", None)
    assert skimmed(b"".join(written), rows, avsc("Receipt"), NAMES) is None


def written(schema: str, rows: list[dict[str, Any]]) -> bytes:
    """The records as fastavro writes them, back to back."""
    stream, parsed = io.BytesIO(), fastavro.parse_schema(json.loads(schema))
    for row in rows:
        fastavro.schemaless_writer(stream, parsed, row)
    return stream.getvalue()


def test_model_events_are_skimmed(used: pytest.MonkeyPatch) -> None:
    event = {"at": 5, "kind": "admitted", "model": "m", "actor": "é", "reason": "", "evidence": "{}"}
    nothing = dict.fromkeys(("version", "digest", "release"))
    assert assert_same(written(avsc("ModelEvent"), [event | nothing] * 3), 3, avsc("ModelEvent"))


def test_earlier_schemas_are_skimmed(used: pytest.MonkeyPatch) -> None:
    for file in resources.files("schemas").joinpath("history", "Receipt").iterdir():
        schema = file.read_text(encoding="utf-8")
        assert assert_same(written(schema, [receipt(n) for n in range(30)]), 30, schema)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_records_are_never_skimmed_to_others_than_decoding_finds(used: pytest.MonkeyPatch, seed: int) -> None:
    own, whole = random.Random(seed), b"".join(datums(made_receipts(6, seed)))
    skims = 0
    for _ in range(600):
        data = bytearray(whole)
        for _ in range(own.randint(1, 3)):
            data[own.randrange(len(data))] = own.choice([0, 1, 0x7F, 0x80, 0xC0, 0xED, 0xFF, own.randrange(256)])
        cut = own.choice([len(data)] * 3 + [own.randrange(len(data))])
        skims += assert_same(bytes(data[:cut]), own.choice([6, 6, 6, 5, 7]), avsc("Receipt"))
    assert skims > 20  # an altered letter is still a text


def test_texts_are_utf_8_as_python_has_it(used: pytest.MonkeyPatch) -> None:
    schema = '{"type": "record", "name": "R", "fields": [{"name": "event_id", "type": "string"}]}'
    own, texts = (
        random.Random(7),
        [b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b"\xe0\x9f\xbf", b"a" * 9 + b"\xff"],
    )
    texts += [
        own.choice(["é", "🛫", "\0", "\ud7ff", "\ue000", "\U0010ffff"]).encode() * 3 + bytes([own.randrange(256)])
        for _ in range(300)
    ]
    texts += [own.randbytes(own.randrange(1, 5)) for _ in range(3000)]
    for text in texts:
        try:
            text.decode()
        except UnicodeDecodeError:
            assert skimmed(bytes([2 * len(text)]) + text, 1, schema, ("event_id",)) is None
        else:
            assert assert_same(bytes([2 * len(text)]) + text, 1, schema)


@pytest.mark.parametrize("type_", [
    {"type": "fixed", "name": "F", "size": 2}, {"type": "bytes", "logicalType": "decimal", "precision": 3},
    {"type": "array", "items": "null"}, {"type": "string", "logicalType": "uuid"}, ["null", "R"],
])  # fmt: skip
def test_types_that_are_not_known_are_left_to_decoding(used: pytest.MonkeyPatch, type_: object) -> None:
    schema = json.dumps(
        {"type": "record", "name": "R", "fields": [{"name": "event_id", "type": "long"}, {"name": "x", "type": type_}]}
    )
    assert skimmed(b"\2\0\0", 1, schema, ("event_id",)) is None


KINDS = {
    "numbers": ("int", b"\4"), "doubles": ("double", bytes(8)), "floats": ("float", bytes(4)),
    "truths": ("boolean", b"\1"), "words": ({"type": "enum", "name": "E", "symbols": ["a", "b"]}, b"\2"),
    "lists": ({"type": "array", "items": "long"}, b"\3\4\2\4\0"),
    "maps": ({"type": "map", "values": ["null", "bytes"]}, b"\2\2k\2\2v\0"), "nothing": ("null", b""),
    "records": ({"type": "record", "name": "I", "fields": [{"name": "of", "type": ["int", "string"]}]}, b"\2\2a"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_walked(used: pytest.MonkeyPatch, kind: str) -> None:
    type_, encoded = KINDS[kind]
    fields = [{"name": "x", "type": type_}, {"name": "event_id", "type": "string"}]
    schema, datum = json.dumps({"type": "record", "name": "R", "fields": fields}), encoded + b"\4id"
    assert assert_same(datum * 2, 2, schema)
    assert not assert_same(datum[:-1], 1, schema)
    if kind not in ("nothing", "doubles", "floats"):  # of which any bytes will do
        assert not assert_same(b"\xff" * len(encoded) + b"\4id", 1, schema)


def test_a_union_of_one_text_is_the_column_that_decoding_makes(used: pytest.MonkeyPatch) -> None:
    fields = [{"name": "subject", "type": ["string"]}, {"name": "event_id", "type": "string"}]
    assert assert_same(b"\0\2a\2b", 1, json.dumps({"type": "record", "name": "R", "fields": fields}))


@pytest.mark.parametrize("wide", [1, 9])
def test_types_without_bytes_cost_nothing_however_often_they_are_named(used: pytest.MonkeyPatch, wide: int) -> None:
    type_: Any = {"type": "record", "name": "R0", "fields": [{"name": "x", "type": "null"}]}
    for level in range(1, 12):  # nine to the power of eleven values, of no bytes
        others = [{"name": f"x{number}", "type": f"R{level - 1}"} for number in range(1, wide)]
        type_ = {"type": "record", "name": f"R{level}", "fields": [{"name": "x", "type": type_}, *others]}
    fields = [{"name": "x", "type": type_}, {"name": "event_id", "type": "string"}]
    schema = json.dumps({"type": "record", "name": "R", "fields": fields})
    found = skimmed(b"\2a\2b", 2, schema, ("event_id",))
    assert found is not None
    assert found.rows.to_pydict() == {"event_id": ["a", "b"]}


RECORD = [12, 1, 3, 7, 0]  # of one text
MOST = 2**31 - 1


@pytest.mark.parametrize("program", [
    [12, 1, MOST, 7, 0], [12, 1, 4, 7, 0], [12, 1, -3, 7, 0], [12, 1, 3, 13, 0], [12, 1, 3, -1, 0], [12, 1, 3, 7, MOST],
    [12, 1, 3, 11, 1, MOST], [12, 1, 0, 7, 0], [12, 1, 3, 8, 0], [12, 1, 3, 7], [12],
])  # fmt: skip
def test_what_is_no_program_is_not_followed(each: Any, program: list[int]) -> None:
    def skim(numbers: list[int], kind: int) -> Any:
        return each.skim(np.array(numbers, np.int32), b"\2a", 1, np.array([kind], np.int32))

    assert skim(program, 1) is None
    assert skim(RECORD, 1) is not None
    assert [skim(RECORD, kind) for kind in (3, -1, MOST)] == [None] * 3
    assert skim([12, 1, 3, 9, 1, 6, 0, 0], 0) is None  # items of no bytes
