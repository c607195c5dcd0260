"""The payloads of letters as files that a job reads: each of records that are read alike."""

import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from models.outages import temporary_folder
from pipeline.replaying.letters.written import ToldOfInput, read_by
from pipeline.spec.job import events_spec
from schemas.avro.files import AvroFileWriter
from schemas.formats.csv_rows import table_of
from schemas.formats.tf_examples import masked_crc32c


class Part(NamedTuple):
    """Letters that are read alike: their format, and the text of their schema where it has one; or `why` they cannot be
    read."""

    letters: pa.Table
    form: str
    schema: str = ""
    why: str = ""

    @contextmanager
    def written(self) -> Iterator[list[str]]:
        """The payloads in files, each record once, for as long as the block lasts: the settings that name them."""
        payloads = list(dict.fromkeys(self.letters["payload"].to_pylist()))
        with temporary_folder("dead-letters") as folder:
            said = _WRITING[self.form](folder, payloads, self.schema)
            yield [f"events.{name}={value}" for name, value in said.items()]


def parts_of(records: pa.Table, form: str, document: Mapping[str, Any], told: ToldOfInput) -> Iterator[Part]:
    """The letters by what they are read by. A row of Parquet or Arrow has no bytes of its own: its letter is JSON."""
    if form not in ("avro", "csv"):
        yield Part(records, form)
        return
    spec = events_spec({**document["events"], "format": form}, {})
    found = read_by(records, told, spec)
    for letters, why in found.kept:
        yield Part(letters, form, why=why)
    for name, letters in found.by_schema.items():
        yield Part(letters, form, told.schemas[name] or "")


def _as_lines(folder: Path, payloads: Sequence[bytes], _: str) -> dict[str, str]:
    file = folder / "letters.json"
    file.write_bytes(b"".join(payload.replace(b"\n", b" ") + b"\n" for payload in payloads))
    return {"uri": str(file), "format": "json"}


def _as_containers(folder: Path, payloads: Sequence[bytes], schema: str) -> dict[str, str]:
    """Each datum is a block by itself: one that is damaged costs no other."""
    file = folder / "letters.avro"
    with file.open("wb") as stream:
        writer = AvroFileWriter(stream, schema)
        for payload in payloads:
            writer.write_datums(1, payload)
    return {"uri": str(file), "format": "avro"}


def _as_examples(folder: Path, payloads: Sequence[bytes], _: str) -> dict[str, str]:
    file = folder / "letters.tfrecord"
    with file.open("wb") as stream:
        for payload in payloads:
            size = struct.pack("<Q", len(payload))
            crcs = [struct.pack("<I", masked_crc32c(each)) for each in (size, payload)]
            stream.write(b"".join((size, crcs[0], payload, crcs[1])))
    return {"uri": str(file), "format": "tfexample"}


def _as_csv(folder: Path, payloads: Sequence[bytes], schema: str) -> dict[str, str]:
    """Lines without a header, which the settings state. One with a quote that does not end has a file of its own: it
    would take in the lines after it."""
    table = table_of(schema)
    quote = table.quote.encode()
    whole = [each for each in payloads if not quote or each.count(quote) % 2 == 0]
    odd = [each for each in payloads if quote and each.count(quote) % 2]
    for number, lines in enumerate([whole, *([each] for each in odd)]):
        if lines:
            (folder / f"letters-{number}.csv").write_bytes(b"".join(line + b"\n" for line in lines))
    said: dict[str, Any] = {"header": list(table.names), "delimiter": table.delimiter, "decimal": table.decimal}
    said |= {"quote": table.quote, "encoding": table.encoding}
    said |= {} if table.nulls is None else {"nulls": list(table.nulls)}
    return {"uri": f"{folder}/letters-*.csv", "format": "csv", "csv": json.dumps(said)}


_WRITING: Mapping[str, Callable[[Path, Sequence[bytes], str], dict[str, str]]] = {
    "json": _as_lines,
    "parquet": _as_lines,
    "arrow": _as_lines,
    "avro": _as_containers,
    "csv": _as_csv,
    "tfexample": _as_examples,
}
