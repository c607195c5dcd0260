"""Which answers are compared with which: those of two versions to the same events.

An event has one answer, of the champion or a challenger, and any number of shadows beside it. Each shadow is compared
with the version that answered, a challenger also with each shadow (the champion may be one, beside it), and of two
shadows the one whose version's name is later with the other.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

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
            at, at_other = _same_events(found, own, other)
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


def _same_events(found: LabelledAnswers, own: ScoredBy, other: ScoredBy) -> tuple[Ints, Ints]:
    """The indexes of the rows of the same events: of one id and time."""
    row = np.full(found.distinct, -1)
    row[found.codes[other]] = np.arange(len(found.codes[other]))
    at_other = row[found.codes[own]]
    both = at_other >= 0
    times, times_other = found.beside[own].times_us, found.beside[other].times_us
    both &= times == times_other[at_other]  # the last one, where there is none
    at = np.flatnonzero(both)
    return at, at_other[at]
