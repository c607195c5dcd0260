"""Looks for values of a person in all that a run leaves: names and bytes of files, records within compressed blocks,
and what was printed; in every form in which a value could stand there."""

import base64
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import fastavro
import pyarrow.parquet as pq


def forms(value: str | int | float) -> Iterator[bytes]:
    """The bytes that a value would be written as."""
    text = str(value).encode()
    yield text
    yield from (text.hex().encode(), text.hex().upper().encode())
    yield from (str(value).encode("utf-16-le"), str(value).encode("utf-16-be"))
    for skipped in range(3):  # whatever stands before it, but for the characters that it shares with its neighbours
        yield base64.b64encode(bytes(skipped) + text)[4 if skipped else 0 : -4]
        yield base64.urlsafe_b64encode(bytes(skipped) + text)[4 if skipped else 0 : -4]
    if isinstance(value, float):
        yield from (struct.pack("<d", value), struct.pack(">d", value))
    if isinstance(value, int):
        yield from (struct.pack("<q", value), struct.pack(">q", value))


def found_in(texts: Iterable[tuple[str, bytes]], values: Iterable[str | int | float]) -> set[str]:
    """Which of the values are in which of the named texts, as `value in name`."""
    wanted = [(value, form) for value in values for form in forms(value)]
    return {f"{value} in {name}" for name, text in texts for value, form in wanted if form in text}


def written(*folders: Path) -> Iterator[tuple[str, bytes]]:
    """All that lies in folders: each file's path with its bytes, and with what is in its records."""
    for path in sorted(path for folder in folders for path in folder.rglob("*") if path.is_file()):
        yield path.name, str(path).encode()
        yield path.name, path.read_bytes()
        if path.suffix == ".avro":
            with path.open("rb") as stream:
                reader = fastavro.reader(stream)
                yield path.name, b"\n".join(_leaves([reader.metadata, *reader]))
        if path.suffix == ".parquet":
            yield path.name, b"\n".join(_leaves(pq.read_table(path).to_pylist()))


def _leaves(value: Any) -> Iterator[bytes]:
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list | tuple):
        for each in value:
            yield from _leaves(each)
    elif isinstance(value, bytes):
        yield value
    else:
        yield str(value).encode()
