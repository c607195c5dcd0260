"""Stable shards of column values: the Beam key of a stateful step is a shard, never a single value.

A shard holds many keys, so that batches stay batches; the hash is stable across processes, versions and machines.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.batches import take_rows


def hash_ids(ids: pa.Array) -> npt.NDArray[np.uint64]:
    """The same hashes as `hash_values` for texts without nulls of which few repeat: no dictionary is made."""
    from pandas.util import hash_array

    return np.asarray(hash_array(ids.to_numpy(zero_copy_only=False), categorize=False), np.uint64)


def hash_values(values: pa.Array) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of each value's text or number (`pandas.util.hash_array`); null hashes to 0.

    >>> hash_values(pa.array(["a", "b", None])).tolist()
    [13950350942979735504, 12688059582079114975, 0]
    """
    from pandas.util import hash_array  # half a second, which commands that only read a spec need not pay

    if pa.types.is_floating(values.type) or pa.types.is_integer(values.type):
        plain = pc.fill_null(values, 0).to_numpy(zero_copy_only=False)
        hashes = hash_array(plain)
    else:
        texts = values if pa.types.is_string(values.type) else values.cast(pa.string())
        encoded = texts.dictionary_encode()
        distinct = hash_array(encoded.dictionary.to_numpy(zero_copy_only=False), categorize=False)
        codes = pc.fill_null(encoded.indices, 0).to_numpy(zero_copy_only=False)
        hashes = distinct[codes] if len(distinct) else np.zeros(len(values), np.uint64)
    hashes[values.is_null().to_numpy(zero_copy_only=False)] = 0
    return np.asarray(hashes, np.uint64)


def split_by_shard(
    batch: pa.RecordBatch, hashes: npt.NDArray[np.uint64], shards: int
) -> list[tuple[int, pa.RecordBatch]]:
    """The batch cut by the shard (0 to shards - 1) of `hashes`, shape (n,); rows keep their order, empty shards are
    left out.

    >>> batch = pa.record_batch({"n": [10, 11, 12]})
    >>> parts = split_by_shard(batch, np.array([0, 5, 4], np.uint64), shards=4)
    >>> [(shard, part.column("n").to_pylist()) for shard, part in parts]
    [(0, [10, 12]), (1, [11])]
    """
    if shards == 1:
        return [(0, batch)]
    shard_of = (hashes % np.uint64(shards)).astype(np.int64)
    return split_by(batch, shard_of)


def split_by(batch: pa.RecordBatch, group: npt.NDArray[np.int64]) -> list[tuple[int, pa.RecordBatch]]:
    """The batch cut by `group`, shape (n,); rows keep their order."""
    order = np.argsort(group, kind="stable")
    found, starts = np.unique(group[order], return_index=True)
    if len(found) == 1:
        return [(int(found[0]), batch)]
    sorted_batch = take_rows(batch, order)
    ends = [*starts[1:].tolist(), batch.num_rows]
    return [
        (int(shard), sorted_batch.slice(start, end - start))
        for shard, start, end in zip(found.tolist(), starts.tolist(), ends, strict=True)
    ]
