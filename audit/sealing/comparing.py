"""Which receipts of a container are not those that were sealed: by what the index keeps of each leaf's hash."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from audit.files.merkle import leaf_hash
from audit.files.reading import PassedOver, ReadStretch, read_file
from audit.files.sealed import SealedSegment
from audit.files.segments import KINDS
from audit.sealing.findings import AuditFindings
from models.store.backends import Backend

Checks = npt.NDArray[np.uint32]


class _Actual(NamedTuple):
    """What a container holds now: for each record what an index would keep of it, and its name."""

    checks: Checks
    names: list[str]


def compare_container(backend: Backend, segment: SealedSegment, found: AuditFindings) -> None:
    """Names the receipts that were altered, added, removed or reordered in a container, whoever wrote it anew.

    The index must be the sealed one.
    """
    sealed = np.concatenate([segment.index.checks(block) for block in range(segment.index.blocks)])
    actual = _read(backend, segment, found)
    if segment.file in found.broken_files and len(actual.names) < len(sealed):
        _missing(segment, sealed, actual, found)
        return
    if len(actual.checks) == len(sealed):
        _row_by_row(segment, sealed, actual, found)
        return
    _missing(segment, sealed, actual, found)
    surplus = _surplus(actual.checks, sealed)
    found.added += [f"{segment.file}: {actual.names[row]}" for row in np.flatnonzero(surplus)]
    kept, left = actual.checks[~surplus], sealed[~_surplus(sealed, actual.checks)]
    if len(kept) == len(left) and bool(np.any(kept != left)):
        found.reordered.append(f"{segment.file}: of {len(kept)} receipts")


def _row_by_row(segment: SealedSegment, sealed: Checks, actual: _Actual, found: AuditFindings) -> None:
    strange, missing = _surplus(actual.checks, sealed), _surplus(sealed, actual.checks)
    for row in np.flatnonzero(actual.checks != sealed):
        name = f"{segment.file}: {actual.names[row]}"
        moved = not strange[row] and not missing[row]
        (found.reordered if moved else found.altered).append(name)


def _missing(segment: SealedSegment, sealed: Checks, actual: _Actual, found: AuditFindings) -> None:
    """Receipts that stood one after another are one finding. Whole blocks of a damaged file were not removed: they
    cannot be read."""
    rows = np.flatnonzero(_surplus(sealed, actual.checks))
    broken, block = segment.file in found.broken_files, segment.index.block_rows
    for first, last in _runs(rows):
        which = f"receipt {first}" if first == last else f"receipts {first} to {last}"
        is_block = first % block == 0 and ((last + 1) % block == 0 or last + 1 == len(sealed))
        if broken and is_block:
            found.altered.append(f"{segment.file}: {which} of {len(sealed)} cannot be read")
        else:
            found.removed.append(f"{segment.file}: {which} of {len(sealed)}")


def _runs(rows: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """The first and the last of each run of consecutive numbers.

    >>> _runs(np.array([1, 2, 3, 7, 9]))
    [(1, 3), (7, 7), (9, 9)]
    """
    runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
    return [(int(run[0]), int(run[-1])) for run in runs if len(run)]


def _surplus(one: Checks, other: Checks) -> npt.NDArray[np.bool_]:
    """Which of `one` are not in `other`, each counted as often as it is there."""
    order = np.argsort(one, kind="stable")
    values, firsts, counts = np.unique(one[order], return_index=True, return_counts=True)
    theirs, their_counts = np.unique(other, return_counts=True)
    at = np.searchsorted(theirs, values)
    there = np.zeros(len(values), np.int64)
    inside = at < len(theirs)
    same = inside.copy()
    same[inside] = theirs[at[inside]] == values[inside]
    there[same] = their_counts[at[same]]
    rank = np.arange(len(one)) - np.repeat(firsts, counts)
    surplus = np.zeros(len(one), np.bool_)
    surplus[order] = rank >= np.repeat(there, counts)
    return surplus


def _read(backend: Backend, segment: SealedSegment, found: AuditFindings) -> _Actual:
    checks, names = list[bytes](), list[str]()
    for stretch in _stretches(backend, segment, found):
        checks += [leaf_hash(datum)[:4] for datum in stretch.datums.to_pylist()]
        names += names_of(stretch)
    return _Actual(np.frombuffer(b"".join(checks), np.uint32), names)


def _stretches(backend: Backend, segment: SealedSegment, found: AuditFindings) -> Iterator[ReadStretch]:
    for piece in read_file(backend, segment.file, KINDS[segment.statement.kind]):
        if isinstance(piece, ReadStretch):
            yield piece
        elif isinstance(piece, PassedOver):
            found.broken_files.setdefault(segment.file, piece.why)


def names_of(stretch: ReadStretch) -> list[str]:
    """What each record is called: its `score_id`, a model event by its kind."""
    name = "score_id" if "score_id" in stretch.columns.schema.names else "kind"
    texts: list[Any] = stretch.columns.column(name).to_pylist()
    return [str(text) for text in texts]
