"""Hashes of each value of a batch; values are given back to back with the offsets at which they begin, and the end."""

import hmac
from collections.abc import Iterator
from hashlib import sha256
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.native import compiled

HASH_BYTES = 32
Offsets = npt.NDArray[np.int64]


def sha256_each(prefix: bytes, data: Any, offsets: Offsets) -> bytes:
    """The sha256 of a prefix with each value, back to back.

    >>> sha256_each(b"", b"N14228N24211", np.array([0, 6, 12])).hex()[:16]
    'b54635a3f9c69c3b'
    """
    if compiled.EACH is not None:
        return bytes(compiled.EACH.sha256_each(prefix, data, offsets))
    return b"".join([sha256(prefix + value).digest() for value in _values(data, offsets)])


def hmac_each(key: bytes, prefix: bytes, data: Any, offsets: Offsets) -> bytes:
    """The HMAC-SHA256 of a prefix with each value, back to back. The key has at most 64 bytes.

    >>> hmac_each(bytes(32), b"", b"N14228", np.array([0, 6])) == hmac.digest(bytes(32), b"N14228", "sha256")
    True
    """
    if compiled.EACH is not None:
        return bytes(compiled.EACH.hmac_each(key, prefix, data, offsets))
    keyed, found = hmac.new(key, prefix, "sha256"), list[bytes]()
    for value in _values(data, offsets):
        own = keyed.copy()
        own.update(value)
        found.append(own.digest())
    return b"".join(found)


def bytes_and_offsets(column: pa.Array) -> tuple[pa.Buffer, Offsets]:
    """The values of a column of texts or bytes back to back, and their offsets; a null is empty, as Arrow has it."""
    _, ends, data = column.buffers()
    offsets = np.frombuffer(ends, np.int32, len(column) + 1, 4 * column.offset) if ends else np.zeros(1, np.int32)
    return (pa.py_buffer(b"") if data is None else data), offsets.astype(np.int64)


def order_of(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint32]:
    """The indexes by which the numbers ascend; equal ones keep their order.

    >>> order_of(np.array([7, 3, 7, 0], np.uint64)).tolist()
    [3, 1, 0, 2]
    """
    if compiled.EACH is not None:
        return np.frombuffer(compiled.EACH.order_of(np.ascontiguousarray(numbers, np.uint64)), np.uint32)
    return np.argsort(numbers, kind="stable").astype(np.uint32)


def each_of(hashes: bytes) -> list[bytes]:
    """Hashes that are back to back."""
    return [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]


def _values(data: Any, offsets: Offsets) -> Iterator[bytes]:
    whole = bytes(data)
    return (whole[start:end] for start, end in pairwise(offsets.tolist()))
