"""The features of receipts with and without their values: names stay in plain, since a container compresses them to
almost nothing, a ciphertext not at all; and an erased receipt still says what was read."""

import itertools
from functools import lru_cache
from hashlib import sha256

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.native.hashing import HASH_BYTES, bytes_and_offsets, each_of
from schemas.records import FEATURES_TYPE

UNNAMED = ""
_NULL, _BYTES = 0, len(FEATURES_TYPE.item_type) - 1


def is_compact(features: pa.MapArray) -> bool:
    """Whether the map begins where its memory does and has all of it: unions do not say where a slice begins."""
    return bool(features.offset == 0 and len(features.keys) == len(features.items) == np.asarray(features.offsets)[-1])


def name_digests(features: pa.MapArray) -> list[bytes]:
    """The sha256 of the names of each map, in order, shape (n,)."""
    digests = joined_digests(features, names_of_all(features))
    return [digests] * len(features) if len(digests) == HASH_BYTES else each_of(digests)


def joined_digests(features: pa.MapArray, alike: pa.Array | None) -> bytes:
    """As `name_digests`, back to back; one where all maps have the same names, which are `alike`."""
    starts, names = np.asarray(features.offsets), features.keys
    if alike is not None:
        return _digest(tuple(alike.to_pylist()))
    texts, ends = names.to_pylist(), starts.tolist()
    return b"".join([_digest(tuple(texts[start:end])) for start, end in itertools.pairwise(ends)])


def names_of_all(features: pa.MapArray) -> pa.Array | None:
    """The names that every map has, in its order; None where they differ. The map is compact."""
    sizes, rows = np.diff(np.asarray(features.offsets)), len(features)
    if not rows or not sizes[0] or not np.all(sizes == sizes[0]):
        return None
    first = features.keys[: int(sizes[0])]
    data, ends = bytes_and_offsets(features.keys)
    lengths = np.diff(ends).reshape(rows, -1)
    if not np.all(lengths == lengths[0]):
        return None
    texts = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]].reshape(rows, -1)
    return first if np.all(texts == texts[0]) else None


@lru_cache(maxsize=4096)
def _digest(names: tuple[str, ...]) -> bytes:
    encoded = [name.encode() for name in names]
    return sha256(b"".join(len(name).to_bytes(4) + name for name in encoded)).digest()


def without_names(features: pa.MapArray) -> pa.MapArray:
    """The maps with all names empty."""
    return with_names(features, pa.array([UNNAMED]).take(pa.array(np.zeros(len(features.keys), np.int32))))


def with_names(features: pa.MapArray, names: pa.Array) -> pa.MapArray:
    """The maps with other names."""
    return pa.MapArray.from_arrays(features.offsets, names, features.items, type=FEATURES_TYPE)


def without_values(features: pa.MapArray, sealed: pa.Array, alike: pa.Array | None) -> pa.MapArray:
    """Maps that begin with an entry without a name, which has the bytes, before the names with no values. `alike`:
    those of `names_of_all`."""
    starts = np.asarray(features.offsets)
    rows, count = len(sealed), len(sealed) + len(features.keys)
    first = starts[:-1] + np.arange(rows)
    codes = np.full(count, _NULL, np.int8)
    codes[first] = _BYTES
    names = _with_unnamed(features, alike, codes == _BYTES)
    children = [_nulls(1 << count.bit_length(), field.type)[:count] for field in FEATURES_TYPE.item_type]
    children[_BYTES] = _spread(sealed, first, count)
    union = pa.UnionArray.from_sparse(pa.array(codes), children, [field.name for field in FEATURES_TYPE.item_type])
    ends = pa.array((starts + np.arange(rows + 1)).astype(np.int32))
    return pa.MapArray.from_arrays(ends, names, union, type=FEATURES_TYPE)


def _with_unnamed(features: pa.MapArray, alike: pa.Array | None, unnamed: npt.NDArray[np.bool_]) -> pa.Array:
    """The names of all maps, with one that is empty before those of each."""
    if alike is not None:
        each = pa.concat_arrays([pa.array([UNNAMED], alike.type), alike])
        data, ends = bytes_and_offsets(each)
        lengths = np.tile(np.diff(ends), len(features))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        texts = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]].tobytes() * len(features)
        return pa.Array.from_buffers(each.type, len(lengths), [None, pa.py_buffer(offsets), pa.py_buffer(texts)])
    order = np.full(len(unnamed), -1, np.int64)
    order[~unnamed] = np.arange(len(features.keys))
    return pc.fill_null(features.keys.take(pa.array(order, mask=unnamed)), UNNAMED)


@lru_cache(maxsize=16)
def _nulls(count: int, kind: pa.DataType) -> pa.Array:
    """Made once for many batches: to fill the memory takes a tenth of encrypting."""
    return pa.nulls(count, kind)


def _spread(values: pa.Array, rows: npt.NDArray[np.int64], count: int) -> pa.Array:
    """Bytes in these rows of so many, ascending; the others are null."""
    data, ends = bytes_and_offsets(values)
    lengths, there = np.zeros(count, np.int64), np.zeros(count, np.bool_)
    lengths[rows], there[rows] = np.diff(ends), True
    offsets = (np.concatenate([[0], np.cumsum(lengths)]) + ends[0]).astype(np.int32)
    known = pa.py_buffer(np.packbits(there, bitorder="little"))
    return pa.Array.from_buffers(pa.binary(), count, [known, pa.py_buffer(offsets), data])


def sealed_values(features: pa.MapArray) -> tuple[list[bytes | None], pa.MapArray]:
    """The bytes of each map that `without_values` made, None for others; and the maps without unnamed entries."""
    starts = np.asarray(features.offsets)
    filled = np.flatnonzero(np.diff(starts) > 0)
    at = starts[filled]
    named = np.asarray(pc.not_equal(features.keys.take(pa.array(at)), UNNAMED), np.bool_)
    whole = ~named & (np.asarray(features.items.type_codes)[at] == _BYTES)
    found: list[bytes | None] = [None] * len(features)
    values = features.items.field(_BYTES).take(pa.array(at[whole])).to_pylist()
    for row, value in zip(filled[whole].tolist(), values, strict=True):
        found[row] = value
    kept = np.ones(len(features.keys), np.bool_)
    kept[at[~named]] = False
    before = np.concatenate([[0], np.cumsum(kept)])
    ends = pa.array(before[starts].astype(np.int32))
    chosen = pa.array(np.flatnonzero(kept))
    rest = pa.MapArray.from_arrays(ends, features.keys.take(chosen), features.items.take(chosen), type=FEATURES_TYPE)
    return found, rest
