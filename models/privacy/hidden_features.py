"""The features of receipts with and without their values: names stay in plain, since a container compresses them to
almost nothing, a ciphertext not at all; and an erased receipt still says what was read."""

import itertools
from functools import lru_cache
from hashlib import sha256

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.native.hashing import HASH_BYTES, each_of
from schemas.records import FEATURES_TYPE

UNNAMED = ""
_NULL, _BYTES = 0, len(FEATURES_TYPE.item_type) - 1


def is_compact(features: pa.MapArray) -> bool:
    """Whether the map begins where its memory does and has all of it: unions do not say where a slice begins."""
    return bool(features.offset == 0 and len(features.keys) == len(features.items) == np.asarray(features.offsets)[-1])


def name_digests(features: pa.MapArray) -> list[bytes]:
    """The sha256 of the names of each map, in order, shape (n,)."""
    digests = joined_digests(features)
    return [digests] * len(features) if len(digests) == HASH_BYTES else each_of(digests)


def joined_digests(features: pa.MapArray) -> bytes:
    """As `name_digests`, back to back; one where all maps have the same names."""
    starts, names = np.asarray(features.offsets), features.keys
    sizes = np.diff(starts)
    if len(sizes) and sizes[0] and np.all(sizes == sizes[0]):
        codes = np.asarray(names.dictionary_encode().indices).reshape(len(sizes), -1)
        if np.all(codes == codes[0]):
            return _digest(tuple(names[: int(sizes[0])].to_pylist()))
    texts, ends = names.to_pylist(), starts.tolist()
    return b"".join([_digest(tuple(texts[start:end])) for start, end in itertools.pairwise(ends)])


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


def without_values(features: pa.MapArray, sealed: pa.Array) -> pa.MapArray:
    """Maps that begin with an entry without a name, which has the bytes, before the names with no values."""
    starts = np.asarray(features.offsets)
    rows, count = len(sealed), len(sealed) + len(features.keys)
    first = starts[:-1] + np.arange(rows)
    order = np.zeros(count, np.int64)
    order[first] = -1
    order[order == 0] = np.arange(len(features.keys))
    names = pc.fill_null(features.keys.take(_indexes(order)), UNNAMED)
    order[:], order[first] = -1, np.arange(rows)
    codes = np.where(order >= 0, _BYTES, _NULL).astype(np.int8)
    children = [pa.nulls(count, field.type) for field in FEATURES_TYPE.item_type]
    children[_BYTES] = sealed.take(_indexes(order))
    union = pa.UnionArray.from_sparse(pa.array(codes), children, [field.name for field in FEATURES_TYPE.item_type])
    ends = pa.array((starts + np.arange(rows + 1)).astype(np.int32))
    return pa.MapArray.from_arrays(ends, names, union, type=FEATURES_TYPE)


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


def _indexes(order: npt.NDArray[np.int64]) -> pa.Array:
    return pa.array(order, mask=order < 0)
