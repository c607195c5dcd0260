"""Which row each of many hashes of 16 bytes has: in compiled code, in slots of 24 bytes, at most half of them taken."""

from itertools import repeat

import numpy as np
import numpy.typing as npt

from schemas.native import compiled

_KEY_BYTES, _SLOT_BYTES = 16, 24
_LEAST_SLOTS = 1024
Hashes = npt.NDArray[np.uint8]


class RowTable:
    """Rows by hashes, shape (n, 16), that nobody can choose. Not thread-safe.

    >>> table = RowTable()
    >>> table.put(np.arange(32, dtype=np.uint8).reshape(2, 16), 7)
    >>> table.find(np.arange(16, 48, dtype=np.uint8).reshape(2, 16)).tolist()
    [8, -1]
    """

    def __init__(self) -> None:
        self._slots, self._taken = bytearray(_LEAST_SLOTS * _SLOT_BYTES), 0
        self._native, self._plain = compiled.EACH, dict[bytes, int]()

    def put(self, hashes: Hashes, first: int) -> None:
        """From now on these have the rows `first`, `first` + 1, …; of equal ones the last counts."""
        held = np.ascontiguousarray(hashes)
        if self._native is None:
            self._plain.update(zip(_each(held), range(first, first + len(held)), strict=True))
            return
        slots = len(self._slots) // _SLOT_BYTES
        while slots < 2 * (self._taken + len(held)):
            slots *= 2
        if slots * _SLOT_BYTES > len(self._slots):
            larger = bytearray(slots * _SLOT_BYTES)
            self._native.rows_move(self._slots, larger)
            self._slots = larger
        self._taken += self._native.rows_put(self._slots, held, first)

    def find(self, hashes: Hashes) -> npt.NDArray[np.int64]:
        """The row of each, shape (n,); -1 where it has none."""
        held = np.ascontiguousarray(hashes)
        if self._native is None:
            return np.fromiter(map(self._plain.get, _each(held), repeat(-1)), np.int64, len(held))
        return np.frombuffer(self._native.rows_find(self._slots, held), np.int64)


def _each(hashes: Hashes) -> list[bytes]:
    held = hashes.tobytes()
    return [held[at : at + _KEY_BYTES] for at in range(0, len(held), _KEY_BYTES)]
