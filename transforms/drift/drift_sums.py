"""Sums of the counts of groups: how they grow, and how they are written."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import msgspec
import numpy as np

from models.profiles.dependence import BLOCKS
from schemas.expectations import wants
from transforms.drift.drift_groups import FORMAT_VERSION, BlockCounts, Group, GroupCounts, Ints
from transforms.flow.segments import MAX_SEGMENTS, limited_groups


class _Rows:
    """Dense rows of counts, of one width, that grow in number."""

    def __init__(self) -> None:
        self.counts: Ints = np.zeros((0, 0), np.int64)

    def add(self, rows: int, width: int, row: Ints, column: Ints, counts: Ints) -> None:
        held = len(self.counts)
        if rows > held:
            room = np.zeros((max(rows - held, held), width), np.int64)
            self.counts = np.concatenate((self.counts, room)) if held else room
        self.counts[row, column] += counts

    def put_together(self, into: list[int], rows: int) -> None:
        """Adds each row to another, of so many; `into`: which one, for each row that is used."""
        held = np.zeros((rows, self.counts.shape[1]), np.int64)
        np.add.at(held, into, self.counts[: len(into)])
        self.counts = held

    def taken(self, rows: list[int]) -> tuple[Ints, Ints]:
        """The chosen rows end to end: where they are not zero, and the counts there."""
        flat = self.counts[rows].reshape(-1)
        keys = np.flatnonzero(flat)
        return keys, flat[keys]


class Tally:
    """A growing sum of `GroupCounts` of one profile and window: one dense row of counts per group, and one per group
    and block; the first counts are held as they are, since most windows have no others. Of each role and column so many
    segments as `transforms.flow.segments` says are counted apart."""

    def __init__(self) -> None:
        self._only: GroupCounts | None = None
        self._limit_at = 2 * MAX_SEGMENTS  # groups: not with each addition, since it looks at all of them
        self._rows: dict[Group, int] = {}
        self._wholes: dict[Group, int] = {}
        self._cells, self._classes = _Rows(), _Rows()

    @property
    def size(self) -> int:
        """How many counts are held in memory, eight bytes each."""
        held = 0 if self._only is None else 2 * (self._only.keys.size + self._only.blocks.keys.size)
        return held + self._cells.counts.size + self._classes.counts.size

    def add(self, more: GroupCounts) -> None:
        """Adds counts.

        Raises:
            ValueError: they were made on a profile with another number of cells.
        """
        if not more.groups:
            return
        if self._only is None and not self._rows and _is_sum(more):
            self._only = more
            return
        if self._only is not None:
            first, self._only = self._only, None
            self._add(first)
        self._add(more)

    def _add(self, more: GroupCounts) -> None:
        if self._rows and more.cells != self._cells.counts.shape[1]:
            allowed = f"{self._cells.counts.shape[1]}, as before"
            raise ValueError(f"{more.cells} cells cannot be added; {wants(allowed)}")
        rows = np.array([self._rows.setdefault(group, len(self._rows)) for group in more.groups], np.int64)
        group, cell = np.divmod(more.keys, more.cells)
        self._cells.add(len(self._rows), more.cells, rows[group], cell, more.counts)
        if len(more.blocks.keys):
            self._add_blocks(more)
        if len(self._rows) > self._limit_at:
            self._limit()
            self._limit_at = max(2 * len(self._rows), 2 * MAX_SEGMENTS)

    def _limit(self) -> None:
        """Counts segments beyond the limit as one of their column."""
        into = _counted_in(list(self._rows))
        if into == list(self._rows):
            return
        rows: dict[Group, int] = {}
        indexes = [rows.setdefault(group, len(rows)) for group in into]
        self._cells.put_together(indexes, len(rows))
        self._rows = rows

    def _add_blocks(self, more: GroupCounts) -> None:
        block, found = np.divmod(more.blocks.keys, more.blocks.classes)
        group, block = np.divmod(block, BLOCKS)
        rows = np.zeros(len(more.groups), np.int64)
        for index in np.unique(group).tolist():
            rows[index] = self._wholes.setdefault(more.groups[index], len(self._wholes))
        at = block * more.blocks.classes + found
        self._classes.add(len(self._wholes), BLOCKS * more.blocks.classes, rows[group], at, more.blocks.counts)

    def sums(self) -> GroupCounts:
        """The sum of everything added, groups sorted by role and segment."""
        if self._only is not None:
            return self._only
        self._limit()
        groups = sorted(self._rows, key=_by_name)
        keys, counts = self._cells.taken([self._rows[group] for group in groups])
        return GroupCounts(self._cells.counts.shape[1], tuple(groups), keys, counts, self._blocks(groups))

    def _blocks(self, groups: list[Group]) -> BlockCounts:
        if not self._wholes:
            return BlockCounts()
        wholes = [(index, self._wholes[group]) for index, group in enumerate(groups) if group in self._wholes]
        keys, counts = self._classes.taken([row for _, row in wholes])
        width = self._classes.counts.shape[1]
        row, column = np.divmod(keys, width)
        indexes = np.array([index for index, _ in wholes], np.int64)
        return BlockCounts(width // BLOCKS, indexes[row] * width + column, counts)


def _by_name(group: Group) -> tuple[str, str]:
    return group[0], group[1] or ""


def _is_sum(counts: GroupCounts) -> bool:
    """Whether counts are as `Tally.sums` gives them: groups sorted, and not more than are counted apart."""
    return len(counts.groups) <= MAX_SEGMENTS and list(counts.groups) == sorted(counts.groups, key=_by_name)


def _counted_in(groups: list[Group]) -> list[Group]:
    """Of each group the one that it counts in: itself, or the others of its role and column."""
    if len(groups) <= MAX_SEGMENTS:
        return groups
    roles = sorted({role for role, _ in groups})
    found = limited_groups([(roles.index(role), segment or "") for role, segment in groups])
    return [(roles[role], text or None) for role, text in found]


def added_counts(parts: Iterable[GroupCounts]) -> GroupCounts:
    """The sum of counts of one profile, at least one; groups sorted by role and segment.

    Raises:
        ValueError: as `Tally.add`.
    """
    held = list(parts)
    if len(held) == 1:  # as `Tally.sums` gave it
        return held[0]
    tally = Tally()
    for part in held:
        tally.add(part)
    return tally.sums()


def dense(parts: Sequence[GroupCounts]) -> Ints:
    """The counts of parts of one profile, at least one, as a matrix of shape (groups of all, cells)."""
    cells = parts[0].cells
    starts = np.cumsum([0, *(len(part.groups) for part in parts)])
    matrix = np.zeros(int(starts[-1]) * cells, np.int64)
    keys = np.concatenate([part.keys for part in parts])
    keys += np.repeat(starts[:-1] * cells, [len(part.keys) for part in parts])
    matrix[keys] = np.concatenate([part.counts for part in parts])
    return matrix.reshape(-1, cells)


def dense_blocks(parts: Sequence[GroupCounts], row_of: Ints, rows: int, classes: int) -> Ints:
    """The counts by block of groups of parts, shape (rows, BLOCKS, classes). `row_of`: of each group of all parts the
    row that its counts are in, -1 for none; nothing is known of parts with another number of classes."""
    matrix, width = np.zeros(rows * BLOCKS * classes, np.int64), BLOCKS * classes
    starts = np.cumsum([0, *(len(part.groups) for part in parts)])[:-1]
    fitting = [(part.blocks, start) for part, start in zip(parts, starts.tolist(), strict=True)
               if part.blocks.classes == classes and len(part.blocks.keys)]  # fmt: skip
    if not fitting:
        return matrix.reshape(rows, BLOCKS, classes)
    keys = np.concatenate([blocks.keys for blocks, _ in fitting])
    group, cell = np.divmod(keys, width)
    row = row_of[group + np.repeat([start for _, start in fitting], [len(blocks.keys) for blocks, _ in fitting])]
    counts, own = np.concatenate([blocks.counts for blocks, _ in fitting]), row >= 0
    matrix[row[own] * width + cell[own]] = counts[own]
    return matrix.reshape(rows, BLOCKS, classes)


def encode_counts(counts: GroupCounts) -> bytes:
    """The counts as MessagePack, arrays as little-endian int64; the first item is the format's version."""
    arrays = (counts.keys, counts.counts, counts.blocks.keys, counts.blocks.counts)
    keys, values, block_keys, block_values = (array.astype("<i8").tobytes() for array in arrays)
    own = (FORMAT_VERSION, counts.cells, counts.groups, keys, values)
    return msgspec.msgpack.encode((*own, counts.blocks.classes, block_keys, block_values))


_Encoded: TypeAlias = tuple[int, int, tuple[Group, ...], bytes, bytes, int, bytes, bytes]
_WithoutBlocks: TypeAlias = tuple[int, int, tuple[Group, ...], bytes, bytes]


def decode_counts(encoded: bytes) -> GroupCounts:
    """The inverse of `encode_counts`; it also reads format 1, which had no counts by block.

    Raises:
        ValueError: the bytes are corrupt or of another format version.
    """
    if encoded[:2] == b"\x95\x01":
        _, cells, groups, keys, values = msgspec.msgpack.decode(encoded, type=_WithoutBlocks)
        return GroupCounts(cells, groups, *_pair(keys, values))
    found = msgspec.msgpack.decode(encoded, type=_Encoded)
    version, cells, groups, keys, values, classes, block_keys, block_values = found
    if version != FORMAT_VERSION:
        raise ValueError(f"drift counts of format {version} cannot be read; expected: format {FORMAT_VERSION} or 1")
    return GroupCounts(cells, groups, *_pair(keys, values), BlockCounts(classes, *_pair(block_keys, block_values)))


def _pair(keys: bytes, values: bytes) -> tuple[Ints, Ints]:
    if len(keys) != len(values):
        raise ValueError(
            f"{len(keys)} bytes of keys and {len(values)} of counts are corrupt; expected: as many of both"
        )
    return np.frombuffer(keys, "<i8"), np.frombuffer(values, "<i8")
