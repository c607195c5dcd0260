"""Batches of scores taken apart into the groups that drift is measured on, and the counts of each group.

A group is (role, segment): the segment is None for all rows, else `column=value` or `column is null`. Of all rows of a
role
few classes of each column are also counted by block, a 32nd of the window: that tells how much events depend on those
before them, and adds up as the other counts do, whatever part of the rows each partial count saw.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.profiles import Profile, cells_of_rows, segment_of, tally_groups
from models.profiles.dependence import BLOCKS
from schemas import batches
from transforms.flow.distinct import distinct

VERSION = "__version"
ROLE = "__role"
DIGEST = "__digest"
FORMAT_VERSION = 2

Ints: TypeAlias = npt.NDArray[np.int64]
Group: TypeAlias = tuple[str, str | None]


_NONE: Ints = np.zeros(0, np.int64)


class BlockCounts(NamedTuple):
    """Counts of the groups without a segment by block and class, without the zeros.

    `keys` are sorted and unique, `(index in groups * BLOCKS + block) * classes + class` of each of the `counts`.
    """

    classes: int = 0
    keys: Ints = _NONE
    counts: Ints = _NONE


class GroupCounts(NamedTuple):
    """Counts of groups on a profile's `cells`, without the zeros.

    `keys` are sorted and unique, `index in groups * cells + cell` of each of the `counts`; both of shape
    (k,). Counts that an earlier version of Halflife kept have no `blocks`.
    """

    cells: int
    groups: tuple[Group, ...]
    keys: Ints
    counts: Ints
    blocks: BlockCounts = BlockCounts()


class WindowCounts(NamedTuple):
    """The part of a batch in one window: the window's start, the greatest event time (both microseconds), rows, and
    counts."""

    window_start_us: int
    latest_us: int
    rows: int
    counts: GroupCounts


def split_by_version(batch: pa.RecordBatch) -> Iterator[tuple[str, str, pa.RecordBatch]]:
    """(version, digest, rows) for each version of the batch; the batch itself where it has one, as most have."""
    if batch.num_rows and all(_is_one(batch.column(name)) for name in (VERSION, DIGEST)):
        yield batch.column(VERSION)[0].as_py(), batch.column(DIGEST)[0].as_py(), batch
        return
    versions, digests = _codes(batch.column(VERSION)), _codes(batch.column(DIGEST))
    combined = versions[0] * len(digests[1]) + digests[0]
    for code in np.unique(combined).tolist():
        version, digest = versions[1][code // len(digests[1])], digests[1][code % len(digests[1])]
        yield str(version), str(digest), batches.take_rows(batch, combined == code)


def columns_to_count(profile: Profile, segments: Sequence[str], schema: pa.Schema) -> list[str]:
    """The columns of a batch with this schema that `count_windows` reads."""
    own = {batches.EVENT_TIME, ROLE, batches.SCORE_OF_EVENT, *segments, *(column.name for column in profile.columns)}
    return [name for name in schema.names if name in own]


def count_windows(
    profile: Profile, rows: pa.RecordBatch, segments: Sequence[str], window_us: int
) -> Iterator[WindowCounts]:
    """The rows of one version, at least one, counted per window and group.

    Each value's cell is looked up once for all windows and groups, so that batches over many windows stay
    cheap.
    """
    times = batches.times_us(rows)
    windows, window = distinct(np.floor_divide(times, window_us))
    latest = np.full(len(windows), np.iinfo(np.int64).min)
    np.maximum.at(latest, window, times)
    sizes = np.bincount(window)
    labels, codes = _labelled_groups(rows, segments)
    groupings = [window * len(labels) + code for code in codes]
    present, group = distinct(np.concatenate(groupings))
    of_rows, cells = cells_of_rows(profile, rows), len(profile.reference)
    grouped = np.split(group, len(codes))
    found = tally_groups(of_rows, cells, grouped, len(present))
    size, classes = profile.classes.size, [profile.classes.of_cell[cell] for cell in of_rows]
    block = np.minimum((times - windows[window] * window_us) * BLOCKS // window_us, BLOCKS - 1)
    blocks = tally_groups(classes, size, [grouped[0] * BLOCKS + block], len(present) * BLOCKS)
    firsts = np.searchsorted(present, np.arange(len(windows) + 1) * len(labels))
    cuts = np.searchsorted(found.keys, firsts * cells)
    block_cuts = np.searchsorted(blocks.keys, firsts * BLOCKS * size)
    for index, start in enumerate(windows.tolist()):
        groups = tuple(labels[at % len(labels)] for at in present[firsts[index] : firsts[index + 1]].tolist())
        inside, own = slice(cuts[index], cuts[index + 1]), slice(block_cuts[index], block_cuts[index + 1])
        by_block = BlockCounts(size, blocks.keys[own] - firsts[index] * BLOCKS * size, blocks.counts[own])
        counts = GroupCounts(cells, groups, found.keys[inside] - firsts[index] * cells, found.counts[inside], by_block)
        yield WindowCounts(start * window_us, int(latest[index]), int(sizes[index]), counts)


def _labelled_groups(rows: pa.RecordBatch, segments: Sequence[str]) -> tuple[list[Group], list[Ints]]:
    """All groups that can occur in the rows, sorted by role and segment, and the group of each row: once without a
    segment and once for each segment."""
    role_codes, roles = _codes(rows.column(ROLE))
    labels: list[Group] = [(str(role), None) for role in roles]
    codes = [role_codes]
    for segment in segments:
        value_codes, values = _codes(rows.column(_column_of(segment, rows)))
        texts = [segment_of(segment, value) for value in values]
        codes.append(len(labels) + role_codes * len(texts) + value_codes)
        labels.extend((str(role), text) for role in roles for text in texts)
    order = sorted(range(len(labels)), key=lambda at: (labels[at][0], labels[at][1] or ""))
    rank = np.empty(len(labels), np.int64)
    rank[order] = np.arange(len(labels))
    return [labels[at] for at in order], [rank[code] for code in codes]


def _column_of(segment: str, rows: pa.RecordBatch) -> str:
    """The event's own column: after the scoring step, `score` is the model's."""
    own = segment == batches.SCORE and batches.SCORE_OF_EVENT in rows.schema.names
    return batches.SCORE_OF_EVENT if own else segment


def _is_one(values: pa.Array) -> bool:
    """Whether all values are equal, and none is null."""
    first = values[0]
    return bool(first.is_valid and pc.all(pc.equal(values, first), skip_nulls=False).as_py())


def _codes(values: pa.Array) -> tuple[Ints, list[str | None]]:
    """Each row's index among the distinct values, as texts; a null is a value like the others."""
    encoded = pc.dictionary_encode(batches.as_texts(values), null_encoding="encode")
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary.to_pylist()
