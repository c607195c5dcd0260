"""The scores and receipts that jobs wrote to files, as Arrow tables."""

from collections.abc import Iterator, Sequence
from os import PathLike, fspath
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from pipeline.endpoints.errors import NoInput
from pipeline.endpoints.files.origin import origin_of
from pipeline.endpoints.matching import matching_files
from pipeline.endpoints.uris import absolute
from schemas.avro.datums import decode_block
from schemas.avro.files import read_blocks
from schemas.errors import UnusableData
from schemas.expectations import wants
from schemas.records import arrow_schema
from schemas.validation import SpecError
from schemas.vectors import from_bytes

_ID, _FEATURES = "score_id", "features"
_SUFFIXES = (".avro", ".parquet")


def read_scores(path: str | PathLike[str], columns: Sequence[str] | None = None) -> pa.Table:
    """The scores in files of a sink, one row for each `score_id`: a retry, or a second run, writes the same again.

    Args:
        path: a folder (`sinks.scores` of a job, Avro or Parquet), a file or a pattern, on any file system that a job
            can write to.
        columns: the fields wanted, of those of the record `Score`; None for all.

    Returns:
        n rows with the fields of the record (docs/records.md), times as timestamp[us, UTC]; `.to_pandas()` makes a
        DataFrame of it.

    Raises:
        NoInput: there are no such files.
        UnusableData: a file has other records, or is damaged.
        SpecError: `columns` has a name that the record does not have.
        OSError: a file cannot be read.
    """
    return _read(path, "Score", columns, "")


def read_receipts(path: str | PathLike[str], columns: Sequence[str] | None = None) -> pa.Table:
    """The receipts in files of a sink, one row for each `score_id`.

    Args:
        path: as for `read_scores`; of `sinks.audit`, the folder `receipts` in it is read.
        columns: the fields wanted, of those of the record `Receipt`; None for all.

    Returns:
        n rows with the fields of the record. `features` is a struct with a field for each input that any version read,
        null where the row's version did not; `.flatten()` makes columns `features.NAME` of it. Whole numbers, times (in
        microseconds) and booleans are int64, numbers double, texts string, vectors lists of float or double.

    Raises: as `read_scores`.
    """
    return _read(path, "Receipt", columns, "/receipts")


def _read(path: str | PathLike[str], record: str, columns: Sequence[str] | None, below: str) -> pa.Table:
    whole = arrow_schema(record)
    for name in columns or ():
        if name not in whole.names:
            raise SpecError("columns", name, ", ".join(whole.names))
    names = list(whole.names if columns is None else columns)
    schema = pa.schema([whole.field(name) for name in dict.fromkeys([_ID, *names])])
    pieces = [piece for file in _files(fspath(path), below) for piece in _pieces(file, record, schema)]
    table = _together(pieces, schema)
    ids = table.column(_ID).to_pandas()
    return table.filter(pa.array(~ids.duplicated().to_numpy())).select(names)


def _files(path: str, below: str) -> list[str]:
    uri = absolute(path)
    if below:
        try:
            return _records_among(matching_files(uri.rstrip("/") + below), uri)
        except NoInput:
            pass
    return _records_among(matching_files(uri), uri)


def _records_among(files: Sequence[str], uri: str) -> list[str]:
    found = [file for file in files if file.endswith(_SUFFIXES)]
    if not found:
        raise NoInput(f"{uri} has no file of records; {wants('.avro, .parquet')}")
    return found


def _pieces(path: str, record: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    origin = origin_of(path)
    if origin is not None and origin.record not in ("", record):
        raise UnusableData(f"{path} has records {origin.record}; expected: {record}")
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        found = _parquet(path, stream) if path.endswith(".parquet") else _avro(path, stream)
        for rows in found:
            if _ID not in rows.schema.names:
                raise UnusableData(f"{path} has no {_ID}; expected: records {record}")
            yield pa.RecordBatch.from_pydict({field.name: _conformed(rows, field) for field in schema})


def _together(pieces: Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    """One table; the features of all pieces have the same fields."""
    if _FEATURES in schema.names:
        types: dict[str, set[pa.DataType]] = {}
        for piece in pieces:
            for field in piece.column(_FEATURES).type:
                types.setdefault(field.name, set()).add(field.type)
        kind = pa.struct([(name, _holding(found)) for name, found in types.items()])
        index = schema.get_field_index(_FEATURES)
        schema = schema.set(index, pa.field(_FEATURES, kind))
        pieces = [piece.set_column(index, _FEATURES, _as_struct(piece.column(_FEATURES), kind)) for piece in pieces]
    arrays = [piece.cast(schema) for piece in pieces]
    return pa.Table.from_batches(arrays, schema).combine_chunks()


def _as_struct(features: pa.Array, wanted: pa.DataType) -> pa.Array:
    has = set(features.type.names)
    fields = [
        features.field(field.name).cast(field.type, safe=False) if field.name in has
        else pa.nulls(len(features), field.type)
        for field in wanted
    ]  # fmt: skip
    return pa.StructArray.from_arrays(fields, fields=list(wanted)) if fields else _no_features(len(features))


def _parquet(path: str, stream: IO[bytes]) -> Iterator[pa.RecordBatch]:
    try:
        yield from pq.read_table(stream).to_batches()
    except pa.ArrowException as error:
        raise UnusableData(f"{path} is damaged: {error}; expected: a Parquet file") from None


def _avro(path: str, stream: IO[bytes]) -> Iterator[pa.RecordBatch]:
    for block in read_blocks(stream):
        decoded = None if block.error else decode_block(block.data, block.datums, block.schema)
        if decoded is None or decoded.unreadable:
            what = block.error or "a record cannot be read"
            raise UnusableData(f"{path} is damaged at byte {block.offset}: {what}; expected: an Avro container")
        yield decoded.rows


def _conformed(rows: pa.RecordBatch, field: pa.Field) -> pa.Array:
    """The column as the record's newest schema has it; what an older one did not have is null, and a list empty."""
    index = rows.schema.get_field_index(field.name)
    if index < 0:
        return pa.nulls(rows.num_rows, field.type)
    column = rows.column(index)
    if field.name == _FEATURES:
        return _features(column)
    return _reasons(column, field.type) if pa.types.is_list(field.type) else column.cast(field.type)


def _reasons(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    """A list of structs whose later fields an older schema lacks."""
    found = column.values
    fields = [
        found.field(field.name).cast(field.type) if found.type.get_field_index(field.name) >= 0
        else pa.nulls(len(found), field.type)
        for field in wanted.value_type
    ]  # fmt: skip
    values = pa.StructArray.from_arrays(fields, fields=list(wanted.value_type))
    return pa.ListArray.from_arrays(column.offsets, values, type=wanted)


def _features(column: pa.Array) -> pa.Array:
    """The map of what a scorer read as a struct, with a field for each name."""
    rows = np.repeat(np.arange(len(column)), np.diff(column.offsets.to_numpy()))
    keys = column.keys.dictionary_encode()
    codes = keys.indices.to_numpy(zero_copy_only=False)
    fields = {}
    for code, name in enumerate(keys.dictionary.to_pylist()):
        items = np.flatnonzero(codes == code)
        indexes = np.full(len(column), -1, np.int64)
        indexes[rows[items]] = items
        fields[name] = _values(column.items, pa.array(indexes, mask=indexes < 0))
    return pa.StructArray.from_arrays(list(fields.values()), list(fields)) if fields else _no_features(len(column))


def _no_features(rows: int) -> pa.Array:
    return pa.array([{}] * rows, pa.struct([]))


def _values(union: pa.Array, indexes: pa.Array) -> pa.Array:
    """The values of a union at these indexes, in the one type that holds them."""
    kinds = pa.array(union.type_codes).take(indexes)
    branches = {code: _readable(union.field(code)) for code in kinds.unique().to_pylist() if code is not None}
    wanted = _holding({branch.type for branch in branches.values()})
    whole = pa.nulls(len(indexes), wanted)
    for code, branch in branches.items():
        if not pa.types.is_null(branch.type):
            chosen = pc.fill_null(pc.equal(kinds, code), False)
            whole = pc.if_else(chosen, branch.take(indexes).cast(wanted, safe=False), whole)
    return whole


def _readable(branch: pa.Array) -> pa.Array:
    """Vectors as lists of their numbers; all other values as they are."""
    if not pa.types.is_binary(branch.type):
        return branch
    return pa.array([None if value is None or not value else from_bytes(value) for value in branch.to_pylist()])


def _holding(types: set[pa.DataType]) -> pa.DataType:
    """The type of a field by the types of its values; where versions read a name differently, a number or a text."""
    held = types - {pa.null()}
    if held and all(pa.types.is_list(found) for found in held):
        return pa.list_(pa.float64() if pa.list_(pa.float64()) in held else pa.float32())
    if held <= {pa.int64(), pa.float64()}:
        return next((kind for kind in (pa.float64(), pa.int64()) if kind in held), pa.null())
    return pa.binary() if pa.binary() in held else pa.string()
