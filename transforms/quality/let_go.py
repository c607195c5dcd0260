"""What a shard of a stream still knows of answers that it no longer holds: hashes of their events' ids, and times.

For one more horizon a label that comes so late is thereby told from one of an event that no version answered, and is a
dead letter instead of a number. 16 bytes for each answered event; of two ids of one 64-bit hash the later counts.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.records import DeadLetter
from transforms.flow.sharding import hash_ids
from transforms.labels.label_join import LABEL_OF
from transforms.quality.joining import Answers, in_windows, known_at, late_letters, of_events
from transforms.quality.panes import Schedule

Ints = npt.NDArray[np.int64]
_UNKNOWN_US = -(2**62)


class LetGo(NamedTuple):
    """Events whose answers are no longer held, known until a time (microseconds): hashes of ids, sorted, as
    little-endian uint64, and the events' times as int64."""

    until_us: int
    hashes: bytes
    times_us: bytes


class LateLabels(NamedTuple):
    """Dead letters of labels, and which labels they are: shape (labels,)."""

    letters: list[DeadLetter]
    which: npt.NDArray[np.bool_]


def let_go(answers: Answers, over: Sequence[int], schedule: Schedule) -> list[LetGo]:
    """What is kept of the answers in windows that are over, which begin then."""
    if not over or schedule.horizon_us is None:
        return []
    ids, times = of_events(in_windows(answers, over, schedule.window_us))
    if not len(ids):
        return []
    hashes = hash_ids(ids)
    order = np.lexsort((times, hashes))
    until_us = max(schedule.due_us(start, schedule.panes - 1) for start in over) + schedule.horizon_us
    return [LetGo(until_us, hashes[order].astype("<u8").tobytes(), times[order].astype("<i8").tobytes())]


def still_known(known: Iterable[LetGo], reached_us: int) -> list[LetGo]:
    """Those that are known for longer than a time."""
    return [each for each in known if each.until_us > reached_us]


def _happened_at(known: Iterable[LetGo], ids: pa.Array) -> Ints:
    """When the event of each id happened; -2^62 where that is not known."""
    found, asked = np.full(len(ids), _UNKNOWN_US), hash_ids(ids)
    for each in known:
        hashes, times = np.frombuffer(each.hashes, "<u8"), np.frombuffer(each.times_us, "<i8")
        at = np.searchsorted(hashes, asked, "right") - 1
        same = (at >= 0) & (hashes[np.maximum(at, 0)] == asked)
        found = np.where(same, np.maximum(found, times[np.maximum(at, 0)]), found)
    return found


def late_labels(known: Sequence[LetGo], labels: pa.Table, answered: Ints, schedule: Schedule, at_us: int) -> LateLabels:
    """The labels of events whose answers are no longer held. `answered`: when the events of answers that are held
    happened, -2^62 for others."""
    which = np.zeros(labels.num_rows, np.bool_)
    asked = np.flatnonzero(answered == _UNKNOWN_US)
    if schedule.horizon_us is None or not known or not len(asked):
        return LateLabels([], which)
    own = labels.take(pa.array(asked))
    happened = _happened_at(known, own[LABEL_OF].combine_chunks())
    told = known_at(own) - happened
    beyond = (happened > _UNKNOWN_US) & (told > schedule.horizon_us)
    after = (happened > _UNKNOWN_US) & (told >= 0) & ~beyond
    which[asked[beyond | after]] = True
    letters = late_letters(own, happened, beyond, schedule.horizon_us, at_us)
    return LateLabels(letters + late_letters(own, happened, after, None, at_us), which)
