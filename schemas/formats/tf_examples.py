"""Serialised `tf.train.Example` records to columns, with tfx-bsl's decoder (imported when first used)."""

from collections.abc import Collection, Sequence
from typing import Any

import google_crc32c
import pyarrow as pa
import pyarrow.compute as pc

from schemas.formats.raw import DecodedRows, Unreadable


def masked_crc32c(data: bytes) -> int:
    """The checksum of a part of a TFRecord: CRC-32C, rotated and shifted, since a record may hold checksums itself.

    >>> f"{masked_crc32c(b'123456789'):08x}"
    'c78ab0e5'
    """
    checksum: int = google_crc32c.value(data)
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def decode_examples(
    records: Sequence[bytes], names: Sequence[str], lists: Collection[str] | None = ()
) -> list[DecodedRows]:
    """Each record's features `names` as columns of single values, those in `lists` as columns of lists (None: each
    that holds several values); a feature that is absent or empty is null.

    A record that is not an Example is unreadable with `MalformedExample`, one with several values in a requested
    feature with `WrongType`. tfx-bsl decodes a whole batch or fails, so a failing batch is bisected. The
    result is several pieces, in order, since a feature may hold numbers in one record and texts in the next.
    """
    from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

    return _decode(ExamplesToRecordBatchDecoder(), list(records), list(names), lists)


def _decode(
    decoder: Any, records: list[bytes], names: list[str], lists: Collection[str] | None
) -> list[DecodedRows]:
    if not records:
        return []
    try:
        rows = _columns(decoder.DecodeBatch(records), names, lists)
    except Exception as problem:  # whatever a decoder raises on untrusted bytes makes them a dead letter
        if len(records) == 1:
            error = "WrongType" if isinstance(problem, _SeveralValues) else "MalformedExample"
            empty = pa.RecordBatch.from_pydict({name: pa.array([], pa.null()) for name in names})
            return [DecodedRows(empty, pa.array([], pa.binary()), (Unreadable(records[0], error, str(problem)),))]
        middle = len(records) // 2
        return _decode(decoder, records[:middle], names, lists) + _decode(decoder, records[middle:], names, lists)
    return [DecodedRows(rows, pa.array(records, pa.binary()), ())]


class _SeveralValues(ValueError):
    """A feature holds more than one value."""


def _columns(batch: pa.RecordBatch, names: list[str], wanted: Collection[str] | None) -> pa.RecordBatch:
    arrays = []
    for name in names:
        index = batch.schema.get_field_index(name)
        if index < 0 or pa.types.is_null(batch.column(index).type):
            arrays.append(pa.nulls(batch.num_rows))
            continue
        lists = batch.column(index)
        several = (pc.max(pc.list_value_length(lists)).as_py() or 0) > 1
        if several if wanted is None else name in wanted:
            empty = pc.equal(pc.list_value_length(lists), 0)
            arrays.append(pc.if_else(empty, pa.scalar(None, lists.type), lists))
            continue
        if several:
            raise _SeveralValues(f"feature {name!r} holds several values; expected: one")
        arrays.append(_first_values(lists))
    return pa.RecordBatch.from_arrays(arrays, names)


def _first_values(lists: pa.Array) -> pa.Array:
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    flat = lists.flatten()
    indexes = lengths.cumsum() - 1
    values = flat.take(pa.array(indexes, mask=lengths == 0, type=pa.int64()))
    if pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type):
        return values.cast(pa.string())
    return values
