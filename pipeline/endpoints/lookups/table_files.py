"""Tables of lookups in files: read whole by the readers of events, and refused where anything in them is wrong."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.endpoints.errors import NoInput
from pipeline.endpoints.files.source import form_of, read_file
from pipeline.endpoints.reading.stored import open_stored
from schemas.batches import keys_of
from schemas.columns import ARROW_TYPES
from schemas.expectations import wants
from schemas.formats.path_columns import path_columns
from schemas.formats.raw import DecodedRows, RawBlock
from schemas.job import LookupSpec
from transforms.decoding.conform import columns_as_stated
from transforms.decoding.decode_raw import rows_of
from transforms.decoding.record_locations import RecordLocations
from transforms.lookups.as_of import AsOfTable, RepeatedRow

_PIECE_BYTES = 1024 * 1024
_DIGITS = 16


class TableRefused(NoInput):
    """A table cannot be joined as it is; the message names it, and what is wrong."""


class FileTables:
    """Reads the tables of lookups from their files, in any process; picklable."""

    def load(self, lookup: LookupSpec) -> AsOfTable:
        """The table of a lookup; raises as `read_whole`."""
        return read_whole(lookup).table


class WholeTable(NamedTuple):
    """A table, and how many rows of its files it is without, since they have no key."""

    table: AsOfTable
    keyless: int


def read_whole(lookup: LookupSpec) -> WholeTable:
    """The table of a lookup, of the files as they were when its version was computed.

    Raises:
        TableRefused: a record cannot be read, a row has no time, a key and time have several rows, there are more rows
            than allowed, or the files are not those of the lookup's version.
        OSError: a file cannot be read.
    """
    found = _as_it_is(lookup)
    if (version := version_of(lookup.paths)) != lookup.version:
        said = f"it is version {version} now, and was {lookup.version} when the job started"
        raise _refused(lookup, said, "files that nothing changes while a job reads them; next: start it again")
    return found


def version_of(paths: Sequence[str]) -> str:
    """The first 16 hex digits of the sha256 of a file; of several, or where folders state columns, of what these state
    and the digests of all, in the order of `paths`.

    Raises:
        OSError: a file cannot be read.
    """
    stated = ["".join(f"{name}={text}/" for name, text, _ in path_columns(path)) for path in paths]
    digests = [_sha256(path) for path in paths]
    if len(paths) == 1 and not stated[0]:
        return digests[0][:_DIGITS]
    lines = "".join(f"{of_path}{digest}\n" for of_path, digest in zip(stated, digests, strict=True))
    return sha256(lines.encode("utf-8", "replace")).hexdigest()[:_DIGITS]


def _sha256(path: str) -> str:
    found = sha256()
    with open_stored(path) as stream:
        while piece := stream.read(_PIECE_BYTES):
            found.update(piece)
    return found.hexdigest()


class KeyedRows(NamedTuple):
    """The rows of a table with a key, their keys as texts, and how many rows have none."""

    rows: pa.RecordBatch
    keys: pa.Array
    keyless: int

    def table(self, lookup: LookupSpec) -> AsOfTable:
        """Raises `TableRefused` where a key and time have several rows."""
        since = None if lookup.valid_from is None else self.rows.column(lookup.valid_from)
        try:
            return AsOfTable(self.keys, since, self.rows.select([name for name, _ in lookup.columns]))
        except RepeatedRow as error:
            raise TableRefused(f"lookup {lookup.name}: {lookup.files.uri}: {error}") from None


def _as_it_is(lookup: LookupSpec) -> WholeTable:
    found = read_rows(lookup)
    return WholeTable(found.table(lookup), found.keyless)


def read_rows(lookup: LookupSpec) -> KeyedRows:
    """All rows of the files, in the kinds that the lookup reads. Raises as `read_whole`."""
    schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in lookup.files.columns])
    rows = pa.Table.from_batches(_pieces(lookup), schema)
    whole = rows.combine_chunks().to_batches(max_chunksize=max(rows.num_rows, 1))
    if len(whole) > 1:
        raise _refused(lookup, "a column of it has more than 2 GiB of text", "less; next: name fewer columns")
    batch = whole[0] if whole else pa.RecordBatch.from_pylist([], schema)
    keys = keys_of(batch, lookup.key)
    if keys.null_count:
        batch, keys = batch.filter(keys.is_valid()), keys.drop_null()
    return KeyedRows(batch, keys, rows.num_rows - batch.num_rows)


def _pieces(lookup: LookupSpec) -> Iterator[pa.RecordBatch]:
    """The rows in the kinds that the lookup reads."""
    number = 0
    for path in lookup.paths:
        for block in read_file(path, lookup.files.format, form_of(lookup.files)):
            for piece in _rows(block, lookup):
                number += piece.num_rows
                if number > lookup.max_rows:
                    allowed = f"at most max_rows, {lookup.max_rows:,}; next: a greater lookups[].max_rows, where each"
                    raise _refused(lookup, "it has more rows", f"{allowed} process has the memory for it")
                yield piece


def _rows(block: RawBlock, lookup: LookupSpec) -> Iterator[pa.RecordBatch]:
    locations = RecordLocations(block)
    if block.error:
        raise _refused(lookup, f"{locations.of(block.data)}: {block.error}", "files that can be read whole")
    for piece in rows_of(block, lookup.files):
        for bad in piece.unreadable[:1]:
            where = locations.numbered(piece.unit, bad.number) if bad.number else locations.of(bad.payload)
            raise _refused(lookup, f"{where}: {bad.error}: {bad.detail}", "records that can all be read")
        if piece.rows.num_rows:
            yield _conformed(piece, block, lookup)


def _conformed(piece: DecodedRows, block: RawBlock, lookup: LookupSpec) -> pa.RecordBatch:
    found = columns_as_stated(piece.rows, lookup.files)
    for row, (error, detail) in found.refused.items():
        raise TableRefused(f"lookup {lookup.name}: {_location(piece, block, row)}: {error}: {detail}")
    rows = found.columns
    if lookup.valid_from is not None and (times := rows.column(lookup.valid_from)).null_count:
        untimed = np.flatnonzero(pc.and_(times.is_null(), keys_of(rows, lookup.key).is_valid()))
        if len(untimed):
            where = _location(piece, block, int(found.rows[untimed[0]]))
            said = f"{where}: the row has a key and no {lookup.valid_from}"
            raise _refused(lookup, said, "the time from which on each row holds")
    return rows


def _location(piece: DecodedRows, block: RawBlock, row: int) -> str:
    if piece.numbers is None:
        return block.source.rpartition("@")[0] or block.source
    return str(RecordLocations(block).numbered(piece.unit, piece.numbers[row].as_py()))


def _refused(lookup: LookupSpec, said: str, allowed: str) -> TableRefused:
    return TableRefused(f"lookup {lookup.name}: {lookup.files.uri}: {said}; {wants(allowed)}")
