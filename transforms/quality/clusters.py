"""Which events of a window depend on each other whenever they happen: those of one subject.

What a mean is worth under such dependence shows in sums over parts of the window that have whole subjects in them, as
that of events in time shows in parts of its time (`random groups`: Wolter 1985, Introduction to Variance Estimation).
A subject's part is a hash of it and of the window: another in each window, so that what the chance of the parts does to
an estimate averages out over windows.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.flow.sharding import hash_ids, hash_values
from transforms.quality.sums.exact_sums import Ints
from transforms.quality.sums.group_sums import SPANS

_MIXED = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9))  # of SplitMix64
_SHIFT = np.uint64(31)


def subject_parts(subjects: pa.Array, times_us: Ints, window_us: int) -> pa.Array:
    """The part of its window, 0 to SPANS - 1, that each event counts in by its subject; null where that is null.

    >>> subject_parts(pa.array(["ann", "bob", "ann", None]), np.array([0, 1, 2, 3]), 10).to_pylist()
    [19, 20, 19, None]
    """
    parts = _parts(hash_values(subjects), times_us, window_us)
    return pa.array(parts, mask=subjects.is_null().to_numpy(zero_copy_only=False))


def filled(parts: pa.Array, ids: pa.Array) -> Ints:
    """The parts, where events have no subject those of their own ids: such an event depends on no other one.

    >>> filled(pa.array([13, None], pa.uint8()), pa.array(["a", "b"])).tolist()
    [13, 7]
    """
    found: Ints = pc.fill_null(parts, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    alone = np.flatnonzero(parts.is_null().to_numpy(zero_copy_only=False))
    if len(alone):
        found[alone] = (hash_ids(ids.take(pa.array(alone))) % np.uint64(SPANS)).astype(np.int64)
    return found


def _parts(hashes: npt.NDArray[np.uint64], times_us: Ints, window_us: int) -> npt.NDArray[np.uint8]:
    first, second = _MIXED
    mixed = (hashes ^ np.floor_divide(times_us, window_us).astype(np.uint64) * first) * second
    found: npt.NDArray[np.uint8] = ((mixed ^ mixed >> _SHIFT) % np.uint64(SPANS)).astype(np.uint8)
    return found
