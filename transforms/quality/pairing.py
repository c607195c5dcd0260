"""Which answers are compared with which: those of two versions to the same events.

An event has one answer, of the champion or a challenger, and any number of shadows beside it. Each shadow is compared
with the version that answered, a challenger also with each shadow (the champion may be one, beside it), and of two
shadows the one whose version's name is later with the other.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas import batches
from transforms.quality.answers import PairedBy, ScoredBy, paired_by
from transforms.quality.joining import LabelledAnswers
from transforms.quality.sums.group_sums import Beside
from transforms.quality.sums.pair_sums import Paired
from transforms.scoring.scoring import CHALLENGER, SHADOW

Ints = npt.NDArray[np.int64]


def pairs_of(found: LabelledAnswers) -> Iterator[tuple[PairedBy, Paired]]:
    """The pairs of versions that scored the same events, each with at least one. A pair of which `against` had several
    roles comes once for each."""
    for own in found.answers:
        for other in found.answers:
            if not _compared(own, other):
                continue
            at, at_other = _same_events(found.answers[own], found.answers[other])
            if len(at):
                beside, others = (found.beside[each]._replace(protected={}) for each in (own, other))
                yield paired_by(own, other), Paired(_at(beside, at), _at(others._replace(segments={}), at_other))


def _compared(own: ScoredBy, other: ScoredBy) -> bool:
    if own.version == other.version:
        return False
    if own.role == SHADOW:
        return other.role != SHADOW or own.version > other.version
    return own.role == CHALLENGER and other.role == SHADOW


def _at(beside: Beside, rows: Ints) -> Beside:
    """The rows at these indexes; nothing is copied where they are all, in their order."""
    if len(rows) == len(beside.scores) and np.array_equal(rows, np.arange(len(rows))):
        return beside
    return beside.taken(rows)


def _same_events(own: pa.RecordBatch, other: pa.RecordBatch) -> tuple[Ints, Ints]:
    """The indexes of the rows of the same events: of one id and time."""
    ids, others = own.column(batches.EVENT_ID), other.column(batches.EVENT_ID)
    at = at_other = np.arange(len(ids), dtype=np.int64)
    if not ids.equals(others):  # versions that scored the same batches have the same order
        found = pc.index_in(ids, value_set=others)
        at = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
        at_other = found.drop_null().to_numpy(zero_copy_only=False).astype(np.int64)
    same = batches.times_us(own)[at] == batches.times_us(other)[at_other]
    return (at, at_other) if same.all() else (at[same], at_other[same])
