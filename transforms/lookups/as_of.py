"""A table joined to events by key as of event time: one function on whole batches, wherever it is done.

The row of an event is that of its key with the greatest `valid_from` that is not after the event. Two rows of one key
and time are refused, so that the answer depends on the set of rows alone.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.batches import as_texts
from schemas.errors import UnusableData
from schemas.expectations import wants
from schemas.times import format_time_us
from transforms.lookups.answers import TableAnswer

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
NO_ROW = -1
_SALTS = 8
_SHOWN = 80


class RepeatedRow(UnusableData):
    """A table has two rows of one key and time, so that it does not say which of them an event has."""


class AsOfTable:
    """The rows of a table in memory, found by key and time. Nothing changes it: threads may share it.

    Keys are compared as the texts of `schemas.batches.as_texts`. Beside its columns it needs 8 bytes for each row, and
    for each key its text and 16 bytes.
    """

    def __init__(self, keys: pa.Array, since: pa.Array | None, columns: pa.RecordBatch) -> None:
        """
        Args:
            keys: of n rows, without nulls, of a kind that `as_texts` takes.
            since: timestamp[us] of n rows without nulls, from when on each holds; None where each holds always.
            columns: what each row says, n rows.

        Raises:
            RepeatedRow: a key has two rows from one time on.
        """
        texts = as_texts(keys)
        hashes, self._salt = _distinct_hashes(texts)
        since_us = np.zeros(len(texts), np.int64) if since is None else _us(since)
        order = np.lexsort((since_us, hashes))
        hashes, since_us = hashes[order], since_us[order]
        texts = texts.take(pa.array(order))
        self._check_distinct(texts, hashes, since_us, since is not None)
        begins = _begins(hashes)
        self._hashes, self._texts = hashes[begins], texts.filter(pa.array(begins))
        self._starts = np.append(np.flatnonzero(begins), len(hashes))  # of each key's rows, and the end of the last
        self._since_us = None if since is None else since_us
        self._columns = columns.take(pa.array(order))

    @staticmethod
    def _check_distinct(texts: pa.Array, hashes: Hashes, since_us: Ints, timed: bool) -> None:
        twice = np.flatnonzero((hashes[1:] == hashes[:-1]) & (since_us[1:] == since_us[:-1]))
        if len(twice):
            row = int(twice[0])
            of = f"the key {texts[row].as_py()[:_SHOWN]!r}"
            at = f" from {format_time_us(int(since_us[row]))} on" if timed else ""
            allowed = "one row for each key and time" if timed else "one row for each key, or valid_from: COLUMN"
            more = f", and {len(twice) - 1:,} more rows repeat a key so" if len(twice) > 1 else ""
            raise RepeatedRow(f"{of} has several rows{at}{more}; {wants(allowed)}")

    @property
    def schema(self) -> pa.Schema:
        """Of the columns that each row has."""
        return self._columns.schema

    @property
    def num_rows(self) -> int:
        return int(self._columns.num_rows)

    @property
    def num_keys(self) -> int:
        return len(self._hashes)

    @property
    def nbytes(self) -> int:
        """What the table holds in memory."""
        arrays = (self._hashes, self._starts, self._since_us)
        held = sum(array.nbytes for array in arrays if array is not None)
        return int(held + self._texts.nbytes + self._columns.nbytes)

    def rows_at(self, keys: pa.Array, times_us: Ints) -> Ints:
        """The row of each event, or `NO_ROW`: its key is null, has no row, or none that holds yet.

        Args:
            keys: of m events, of a kind that `as_texts` takes.
            times_us: microseconds since 1970 of m events, shape (m,).

        Returns:
            indexes into the table's own order of rows, shape (m,).
        """
        encoded = as_texts(keys).dictionary_encode()
        of_dictionary = np.append(self._codes(encoded.dictionary), NO_ROW)
        codes = of_dictionary[pc.fill_null(encoded.indices, len(encoded.dictionary)).to_numpy(zero_copy_only=False)]
        if self._since_us is None or not self.num_rows:
            return np.asarray(codes, np.int64)
        # The first row of the key that begins after the event, halving what is left of each key's rows at once.
        low, high = self._starts[codes], np.where(codes == NO_ROW, self._starts[codes], self._starts[codes + 1])
        starts = low
        while (left := low < high).any():
            middle = (low + high) // 2
            held = left & (self._since_us[np.minimum(middle, self.num_rows - 1)] <= times_us)
            low, high = np.where(held, middle + 1, low), np.where(left & ~held, middle, high)
        return np.where(low > starts, low - 1, NO_ROW)

    def _codes(self, texts: pa.Array) -> Ints:
        """The ordinal of each key, `NO_ROW` where the table does not have it."""
        if not self.num_keys or not len(texts):
            return np.full(len(texts), NO_ROW, np.int64)
        hashes = _hashes(texts, self._salt)
        codes = np.minimum(np.searchsorted(self._hashes, hashes), self.num_keys - 1)
        # The hash of another text may be that of a key.
        same = pc.equal(self._texts.take(pa.array(codes)), texts).to_numpy(zero_copy_only=False)
        return np.where(same, codes, NO_ROW)

    def answer(self, keys: pa.Array, times_us: Ints) -> TableAnswer:
        """The columns of each event's row. `keys`, `times_us`: as of `rows_at`."""
        rows = self.rows_at(keys, times_us)
        return TableAnswer(self.take(rows), rows == NO_ROW)

    def take(self, rows: Ints) -> list[pa.Array]:
        """The columns of these rows; null for `NO_ROW`."""
        found: list[pa.Array] = self._columns.take(pa.array(rows, mask=rows == NO_ROW)).columns
        return found


def _us(times: pa.Array) -> Ints:
    found: Ints = times.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return found


def _begins(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Where a sorted array has a value for the first time."""
    begins = np.ones(len(values), np.bool_)
    begins[1:] = values[1:] != values[:-1]
    return begins


def _distinct_hashes(texts: pa.Array) -> tuple[Hashes, int]:
    """A hash of each text, equal only for equal texts, and the salt with which that is so."""
    encoded = texts.dictionary_encode()
    for salt in range(_SALTS):
        hashes = _hashes(encoded.dictionary, salt)
        if len(np.unique(hashes)) == len(hashes):
            return hashes[encoded.indices.to_numpy(zero_copy_only=False)], salt
    raise AssertionError("eight hashes of 64 bits collide")


def _hashes(texts: pa.Array, salt: int) -> Hashes:
    from pandas.util import hash_array

    plain = texts.to_numpy(zero_copy_only=False)
    return np.asarray(hash_array(plain, hash_key=f"{salt:016d}", categorize=False), np.uint64)
