"""Batches of scores taken apart into the groups that drift is measured on, and the counts of each group.

A group is (role, segment): the segment is None for all rows, else `column=value` or `column is null`.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.profiles import Profile, observe_groups
from schemas import batches
from schemas.expectations import wants

VERSION = "__version"
ROLE = "__role"
DIGEST = "__digest"
FORMAT_VERSION = 1

Ints: TypeAlias = npt.NDArray[np.int64]
Group: TypeAlias = tuple[str, str | None]


class GroupCounts(NamedTuple):
    """Counts of groups on a profile's `cells`, without the zeros.

    `keys` are sorted and unique, `index in groups * cells + cell` of each of the `counts`; both of shape
    (k,).
    """

    cells: int
    groups: tuple[Group, ...]
    keys: Ints
    counts: Ints


class WindowCounts(NamedTuple):
    """The part of a batch in one window: the window's start, the greatest event time (both microseconds), rows, and
    counts."""

    window_start_us: int
    latest_us: int
    rows: int
    counts: GroupCounts


def split_by_version(batch: pa.RecordBatch) -> Iterator[tuple[str, str, pa.RecordBatch]]:
    """(version, digest, rows) for each version of the batch."""
    versions, digests = _codes(batch.column(VERSION)), _codes(batch.column(DIGEST))
    combined = versions[0] * len(digests[1]) + digests[0]
    for code in np.unique(combined).tolist():
        version, digest = versions[1][code // len(digests[1])], digests[1][code % len(digests[1])]
        yield str(version), str(digest), batches.take_rows(batch, combined == code)


def count_windows(
    profile: Profile, rows: pa.RecordBatch, segments: Sequence[str], window_us: int
) -> Iterator[WindowCounts]:
    """The rows of one version, at least one, counted per window and group.

    Each value's cell is looked up once for all windows and groups, so that batches over many windows stay
    cheap.
    """
    times = batches.times_us(rows)
    windows, window = np.unique(np.floor_divide(times, window_us), return_inverse=True)
    latest = np.full(len(windows), np.iinfo(np.int64).min)
    np.maximum.at(latest, window, times)
    sizes = np.bincount(window)
    labels, codes = _labelled_groups(rows, segments)
    groupings = [window * len(labels) + code for code in codes]
    present, group = np.unique(np.concatenate(groupings), return_inverse=True)
    found = observe_groups(profile, rows, np.split(group, len(codes)), len(present))
    cells = len(profile.reference)
    firsts = np.searchsorted(present, np.arange(len(windows) + 1) * len(labels))
    cuts = np.searchsorted(found.keys, firsts * cells)
    for index, start in enumerate(windows.tolist()):
        groups = tuple(labels[at % len(labels)] for at in present[firsts[index] : firsts[index + 1]].tolist())
        inside = slice(cuts[index], cuts[index + 1])
        counts = GroupCounts(cells, groups, found.keys[inside] - firsts[index] * cells, found.counts[inside])
        yield WindowCounts(start * window_us, int(latest[index]), int(sizes[index]), counts)


def _labelled_groups(rows: pa.RecordBatch, segments: Sequence[str]) -> tuple[list[Group], list[Ints]]:
    """All groups that can occur in the rows, and the group of each row: once without a segment and once for each
    segment."""
    role_codes, roles = _codes(rows.column(ROLE))
    labels: list[Group] = [(str(role), None) for role in roles]
    codes = [role_codes]
    for segment in segments:
        value_codes, values = _codes(rows.column(_column_of(segment, rows)))
        texts = [f"{segment} is null" if value is None else f"{segment}={value}" for value in values]
        codes.append(len(labels) + role_codes * len(texts) + value_codes)
        labels.extend((str(role), text) for role in roles for text in texts)
    return labels, codes


def _column_of(segment: str, rows: pa.RecordBatch) -> str:
    """The event's own column: after the scoring step, `score` is the model's."""
    own = segment == batches.SCORE and batches.SCORE_OF_EVENT in rows.schema.names
    return batches.SCORE_OF_EVENT if own else segment


def _codes(values: pa.Array) -> tuple[Ints, list[str | None]]:
    """Each row's index among the distinct values, as texts; a null is a value like the others."""
    encoded = pc.dictionary_encode(batches.as_texts(values), null_encoding="encode")
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary.to_pylist()


class Tally:
    """A growing sum of `GroupCounts` of one profile: one dense row of counts per group."""

    def __init__(self) -> None:
        self._rows: dict[Group, int] = {}
        self._counts: Ints = np.zeros((0, 0), np.int64)

    @property
    def size(self) -> int:
        """How many counts are held in memory, eight bytes each."""
        return self._counts.size

    def add(self, more: GroupCounts) -> None:
        """Adds counts.

        Raises:
            ValueError: they were made on a profile with another number of cells.
        """
        if not more.groups:
            return
        if self._rows and more.cells != self._counts.shape[1]:
            allowed = f"{self._counts.shape[1]}, as before"
            raise ValueError(f"{more.cells} cells cannot be added; {wants(allowed)}")
        rows = np.array([self._rows.setdefault(group, len(self._rows)) for group in more.groups], np.int64)
        self._reserve(more.cells)
        group, cell = np.divmod(more.keys, more.cells)
        self._counts[rows[group], cell] += more.counts

    def _reserve(self, cells: int) -> None:
        held = len(self._counts)
        if len(self._rows) > held:
            room = np.zeros((max(len(self._rows) - held, held), cells), np.int64)
            self._counts = np.concatenate((self._counts, room)) if held else room

    def sums(self) -> GroupCounts:
        """The sum of everything added, groups sorted by role and segment."""
        groups = sorted(self._rows, key=lambda group: (group[0], group[1] or ""))
        counts = self._counts[[self._rows[group] for group in groups]].reshape(-1)
        keys = np.flatnonzero(counts)
        return GroupCounts(self._counts.shape[1], tuple(groups), keys, counts[keys])


def dense(counts: GroupCounts) -> Ints:
    """The counts as a matrix of shape (groups, cells)."""
    matrix = np.zeros(len(counts.groups) * counts.cells, np.int64)
    matrix[counts.keys] = counts.counts
    return matrix.reshape(len(counts.groups), counts.cells)


def encode_counts(counts: GroupCounts) -> bytes:
    """The counts as MessagePack, arrays as little-endian int64; the first item is the format's version."""
    keys, values = (array.astype("<i8").tobytes() for array in (counts.keys, counts.counts))
    return msgspec.msgpack.encode((FORMAT_VERSION, counts.cells, counts.groups, keys, values))


_Encoded: TypeAlias = tuple[int, int, tuple[Group, ...], bytes, bytes]


def decode_counts(encoded: bytes) -> GroupCounts:
    """The inverse of `encode_counts`.

    Raises:
        ValueError: the bytes are corrupt or of another format version.
    """
    version, cells, groups, keys, values = msgspec.msgpack.decode(encoded, type=_Encoded)
    if version != FORMAT_VERSION or len(keys) != len(values):
        raise ValueError(f"drift counts of format {version} cannot be read; expected: format {FORMAT_VERSION}")
    return GroupCounts(cells, groups, np.frombuffer(keys, "<i8"), np.frombuffer(values, "<i8"))
