"""Blocks of receipts read as columns alone, without the bytes of each: the same as `fastavro` reads one by one."""

import io
import json
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.files.audit import Audit
from audit.files.formats import plain_rows
from schemas.avro.datums import decode_block, zigzag_varint
from schemas.avro.files import AvroFileWriter
from schemas.records import avsc
from tests.audit.containers import receipt, schema_of

_PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "long": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False),
    "string": st.text(max_size=9),
    "bytes": st.binary(max_size=9) | st.just(b"<f4" + bytes(400)),
}


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """What a type of a receipt's schema may hold; the branch of a union is named with its value."""
    if isinstance(kind, str):
        return _PLAIN[kind]
    if isinstance(kind, list):
        return st.one_of([st.tuples(st.just(_name(each)), values_of(each)) for each in kind])
    inner = {name: kind.get(name) for name in ("items", "values")}
    if kind["type"] == "array":
        return st.lists(values_of(inner["items"]), max_size=2)
    if kind["type"] == "map":
        return st.dictionaries(st.text(max_size=3), values_of(inner["values"]), max_size=4)
    if kind["type"] == "record":
        return st.fixed_dictionaries({field["name"]: values_of(field["type"]) for field in kind["fields"]})
    return _PLAIN[kind["type"]]


def _name(branch: Any) -> str:
    return branch if isinstance(branch, str) else str(branch["type"])


def encoded(rows: list[dict[str, Any]], schema: dict[str, Any]) -> list[bytes]:
    found = []
    for row in rows:
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, schema, row)
        found.append(stream.getvalue())
    return found


def plain_schema(earlier: int | None) -> dict[str, Any]:
    """The schema without logical types: times of any size."""
    text = json.dumps(schema_of("Receipt", earlier))
    return dict(json.loads(text, object_hook=lambda node: {k: v for k, v in node.items() if k != "logicalType"}))


def typed(rows: list[Any]) -> list[Any]:
    """Rows in which 1, 1.0 and True differ."""
    return [repr(sorted(row.items())) for row in rows]


@pytest.mark.parametrize("earlier", [None, 1, 2])
def test_receipts_read_as_columns_are_what_fastavro_reads(earlier: int | None) -> None:
    schema = plain_schema(earlier)

    @given(st.lists(values_of(schema), min_size=1, max_size=5))
    @settings(max_examples=60, deadline=None)
    def check(rows: list[dict[str, Any]]) -> None:
        datums = encoded(rows, schema)
        expected = [fastavro.schemaless_reader(io.BytesIO(each), schema, None) for each in datums]
        found = decode_block(b"".join(datums), len(rows), json.dumps(schema), payloads=False)
        assert not found.unreadable
        names = found.rows.schema.names
        assert typed([{name: row[name] for name in names} for row in _as_maps(found.rows.to_pylist())]) == typed(
            [{name: row[name] for name in names} for row in expected if isinstance(row, dict)]
        )

    check()


def _as_maps(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for row in rows:
        for name in {"features", "lookups"} & set(row):
            row[name] = row[name] if row[name] is None else dict(row[name])
    return rows


JUNK = (b"\x00", b"\x01", b"\x02", b"\x80", b"\xff", b"\x00" * 40, b"\x02" * 40, b"\x01" * 40, b"\x80" * 9, b"\x40")


@pytest.mark.parametrize("key_id", [None, "k", "ключ"])
def test_bytes_beyond_the_last_record_or_too_few_are_found_as_with_the_bytes_of_each(key_id: str | None) -> None:
    schema = schema_of("Receipt")
    datums = encoded([receipt(number, key_id=key_id) for number in range(3)], schema)
    whole = b"".join(datums)
    for data in (*(whole + junk for junk in JUNK), whole + datums[0], whole[:-1], whole[:-3], whole[: len(datums[0])]):
        with_bytes = decode_block(data, 3, avsc("Receipt"))
        without = decode_block(data, 3, avsc("Receipt"), payloads=False)
        assert with_bytes.unreadable
        assert without.unreadable == with_bytes.unreadable
        assert without.rows.equals(with_bytes.rows)


@pytest.mark.parametrize("payloads", [True, False])
def test_a_block_of_no_records_has_the_types_of_any_other(payloads: bool) -> None:
    [datum] = encoded([receipt(1)], schema_of("Receipt"))
    some = decode_block(datum, 1, avsc("Receipt"), payloads=payloads)
    none = decode_block(b"", 0, avsc("Receipt"), payloads=payloads)
    assert (none.rows.schema, none.rows.num_rows, none.unreadable) == (some.rows.schema, 0, ())
    for junk in (b"\0", b"\x02", datum):
        [unreadable] = decode_block(junk, 0, avsc("Receipt"), payloads=payloads).unreadable
        assert unreadable.payload == junk


def in_two_blocks(sized: bool) -> bytes:
    """Receipt e5 whose map of two features is in two blocks, as Avro allows and other writers do."""
    schema = schema_of("Receipt")
    [datum] = encoded([receipt(5, features={"delay": 5.0, "carrier": "UA"})], schema)
    features = [encoded([{"features": {name: value}}], _only_features(schema))[0][1:-1]
                for name, value in (("delay", 5.0), ("carrier", "UA"))]  # fmt: skip
    assert b"\x04" + b"".join(features) + b"\x00" in datum
    blocks = [b"\x01" + zigzag_varint(len(each)) + each if sized else b"\x02" + each for each in features]
    return datum.replace(b"\x04" + b"".join(features) + b"\x00", b"".join(blocks) + b"\x00")


def _only_features(schema: dict[str, Any]) -> dict[str, Any]:
    fields = [field for field in schema["fields"] if field["name"] == "features"]
    return {"type": "record", "name": "R", "fields": fields}


@pytest.mark.parametrize("sized", [True, False])
def test_features_in_several_blocks_of_a_map_are_all_there(tmp_path: Path, sized: bool) -> None:
    (tmp_path / "receipts").mkdir()
    with (tmp_path / "receipts" / "a.avro").open("wb") as stream:
        AvroFileWriter(stream, avsc("Receipt")).write_datums(1, in_two_blocks(sized))
    [rows] = Audit(str(tmp_path)).whole_columns()
    assert plain_rows(rows, "Receipt")[0]["features"] == {"delay": 5.0, "carrier": "UA"}
