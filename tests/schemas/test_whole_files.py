"""A small container that is held as a whole is read as one that streams, or not at all."""

import io
from typing import Any

import fastavro
import pytest

from schemas.avro import whole_files
from schemas.avro.files import ContainerHeader, read_blocks, read_header
from schemas.avro.whole_files import WholeFile, whole_file

SCHEMA: dict[str, Any] = {"type": "record", "name": "R", "fields": [{"name": "id", "type": "string"}]}
OTHER: dict[str, Any] = {"type": "record", "name": "S", "fields": [{"name": "of", "type": "string"}]}


def container(
    rows: int, codec: str = "zstandard", schema: dict[str, Any] = SCHEMA, metadata: dict[str, str] | None = None
) -> bytes:
    stream, name = io.BytesIO(), "of" if schema is OTHER else "id"
    some = ({name: f"e{number}"} for number in range(rows))
    fastavro.writer(stream, schema, some, codec, sync_interval=20, metadata=metadata)
    return stream.getvalue()


HELD = {
    "one of many blocks": container(50),
    "another of the same header": container(3),
    "another codec": container(50, "deflate"),
    "plain": container(2, "null"),
    "another schema": container(5, schema=OTHER),
    "other metadata": container(5, metadata={"halflife.run": "r"}),
    "empty": b"",
    "no records": container(0),
    "no container": b"Obj\x02" + container(1)[4:],
    "cut off in a block": container(50)[:-20],
    "cut off in its header": container(50)[:30],
    "damaged": container(50)[:-25] + b"?" + container(50)[-24:],
    "two end to end": container(3) + container(4),
    "more behind it": container(3) + b"?",
}


def as_it_streams(held: bytes) -> WholeFile | None:
    blocks = list(read_blocks(io.BytesIO(held)))
    if not blocks or any(each.error or each.schema != blocks[0].schema for each in blocks):
        return None
    return WholeFile(blocks[0].schema, b"".join(each.data for each in blocks), sum(each.datums for each in blocks))


@pytest.mark.parametrize("name", HELD)
def test_it_holds_what_a_stream_of_it_has(name: str) -> None:
    for _ in range(2):  # with a header that is seen for the first time, and again
        found = whole_file(HELD[name])
        assert found == as_it_streams(HELD[name]) or (found, name) == (None, "two end to end")


def test_the_header_of_one_process_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = list[int]()

    def counted(held: bytes) -> ContainerHeader | None:
        parsed.append(len(held))
        return read_header(held)

    monkeypatch.setattr(whole_files, "_seen", ())
    monkeypatch.setattr(whole_files, "read_header", counted)
    for run in ("r", "s", "r"):
        files = [container(rows, metadata={"halflife.run": run}) for rows in range(1, 40)]
        assert [found.records for held in files if (found := whole_file(held))] == list(range(1, 40))
    assert len(parsed) == 2
