"""The receipts of an audit as columns: who answered, and what a model would read of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audit.files.audit import Audit, ReceiptFilter
from models.bundles.manifest import Input
from schemas.records import arrow_schema
from transforms.scoring.recorded_inputs import RecordedInputs
from transforms.scoring.scoring import CHALLENGER, CHAMPION, REPLAY

KEPT = (
    "score_id", "event_id", "event_time", "subject", "version", "release", "role", "score", "decision", "late",
    "digest", "definitions", "run", "lookups",
)  # fmt: skip
HELD, INPUT, SEGMENT = "held", "in:", "segment:"
STORED_ID = "stored_id"
"""Of an audit with keys: the event's id as the receipt has it, of which `score_id` is made."""
_ENCRYPTED = ("reasons", "base_value", "key_id")
_MOST_NAMED = 20
Ints = npt.NDArray[np.int64]
_SMALL = 2_048  # rows of a batch
_LONG = 64  # bytes
_ODD = np.uint64(0x9E3779B97F4A7C15)
_MASKS = np.array([(1 << (8 * size)) - 1 for size in range(9)], np.uint64)


class ReadReceipts(NamedTuple):
    """Receipts in memory, by the digest of the version that made them: the fields `KEPT`, `held` (whether a row has all
    inputs that were asked for), a column `in:NAME` for each input and `segment:NAME` for each segment; where the audit
    has keys also `stored_id`.

    `lacking`: inputs that some receipt does not have. `locked`: what is not here because it cannot be read.
    """

    by_digest: Mapping[str, pa.Table]
    lacking: tuple[str, ...]
    locked: "LockedReceipts"

    @property
    def rows(self) -> int:
        """How many there are."""
        return sum(table.num_rows for table in self.by_digest.values())

    def together(self) -> pa.Table:
        """All of them; only where the same inputs were asked for of each version."""
        return pa.concat_tables(list(self.by_digest.values()))


def read_receipts(
    audit: Audit, wanted: ReceiptFilter, inputs_of: Callable[[str, str], Sequence[Input]], segments: Sequence[str] = ()
) -> ReadReceipts:
    """The receipts that are wanted, but for those of replays, decrypted where the audit has keys; files that cannot be
    read are in `audit.broken`.

    Args:
        audit: where they lie.
        wanted: which of them.
        inputs_of: by version and digest of a receipt, the inputs that are asked for.
        segments: features that are wanted as text, where receipts have them.

    Raises:
        StoreUnavailable: the store did not answer.
    """
    found = dict[str, list[pa.RecordBatch]]()
    lacking, locked = dict[str, None](), LockedReceipts()
    kept = KEPT if audit.keys is None else (*KEPT, STORED_ID)
    for rows in _opened(audit, wanted, locked):
        for version, digest, own in _by_digest(rows):
            inputs = inputs_of(version, digest)
            recorded = RecordedInputs(own.column("features"))
            columns, held, lacked = recorded.take(inputs)
            lacking |= dict.fromkeys(lacked)
            arrays = [*(_plain(own.column(name), name) for name in kept), pa.array(held), *columns]
            arrays += [recorded.texts(name) for name in segments]
            named = [*kept, HELD, *(f"{INPUT}{each.name}" for each in inputs)]
            named += [f"{SEGMENT}{name}" for name in segments]
            found.setdefault(digest, []).append(pa.RecordBatch.from_arrays(arrays, named))
    tables = {digest: _table(batches) for digest, batches in found.items()}
    return ReadReceipts(tables, tuple(lacking), locked)


class LockedReceipts:
    """Receipts that cannot be decrypted: how many of whose key was destroyed, how many for another reason, each with
    the `score_id`s of the first ones."""

    def __init__(self) -> None:
        self.counts = {"erased": 0, "unreadable": 0}
        self.named: dict[str, list[str]] = {"erased": [], "unreadable": []}

    def add(self, receipts: pa.RecordBatch, why: Sequence[str]) -> None:
        """Counts those with a reason."""
        for score_id, said in zip(receipts.column("score_id").to_pylist(), why, strict=True):
            if said:
                kind = said.partition(":")[0]
                self.counts[kind] += 1
                if len(self.named[kind]) < _MOST_NAMED:
                    self.named[kind].append(score_id)

    def told(self) -> dict[str, Any]:
        """The counts as a report has them; nothing where all could be read."""
        return {name: number for name, number in self.counts.items() if number}


def _opened(audit: Audit, wanted: ReceiptFilter, locked: LockedReceipts) -> Iterator[pa.RecordBatch]:
    """The receipts that are wanted; those that cannot be decrypted are counted instead."""
    if audit.keys is None:
        yield from audit.columns((*KEPT, "features"), wanted)
        return
    from audit.files.found.receipt_keys import opened_receipts

    for stored in audit.columns((*KEPT, "features", *_ENCRYPTED), wanted):
        own = stored.filter(pc.not_equal(stored.column("role"), REPLAY))
        opened, why = opened_receipts(own, audit.keys)
        locked.add(own, why)
        rows = opened.append_column(STORED_ID, own.column("event_id").cast(pa.string()))
        yield rows.filter(pa.array([not said for said in why], pa.bool_())) if any(why) else rows


def _by_digest(rows: pa.RecordBatch) -> Iterator[tuple[str, str, pa.RecordBatch]]:
    """(version, digest, rows) of each version's receipts; what replays made is left out."""
    of_replay = pc.equal(rows.column("role"), REPLAY)
    if pc.any(of_replay).as_py():
        rows = rows.filter(pc.invert(of_replay))
    digests = rows.column("digest").unique().to_pylist()
    for digest in digests:
        own = rows if len(digests) == 1 else rows.filter(pc.equal(rows.column("digest"), digest))
        yield own.column("version")[0].as_py(), digest, own


def _plain(column: pa.Array, name: str) -> pa.Array:
    """A column as it is kept: a copy, since one that the decoder made keeps in memory all that it decoded; what is
    alike in all receipts is there once for many batches."""
    kept = column if name == STORED_ID else column.cast(arrow_schema("Receipt").field(name).type)
    if pa.types.is_string(kept.type) and _all_alike(kept):
        return _repeated(kept[0].as_py() if len(kept) else None, len(kept))
    return pa.concat_arrays([kept, kept.slice(0, 0)])


def _repeated(value: str | None, count: int) -> pa.Array:
    return _repeats(value, max(1 << (count - 1).bit_length(), _SMALL) if count else 1).slice(0, count)


@lru_cache(maxsize=64)
def _repeats(value: str | None, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string()), count)


def _table(batches: Sequence[pa.RecordBatch]) -> pa.Table:
    """One table, in pieces as they were read unless these are small: a copy of all would be memory that is used for the
    first time, which is slow. A column that is null in all of a batch may have another type there."""
    whole = pa.concat_tables([pa.Table.from_batches([batch]) for batch in batches], promote_options="permissive")
    return whole.combine_chunks() if whole.num_rows < _SMALL * len(batches) else whole


class ChosenReceipts(NamedTuple):
    """Rows of a table of receipts by event: `scored`, that from which the event is scored again (-1: none has all
    inputs), and `answered`, that of the answer that left the job (-1: none is here); shape (events,)."""

    scored: Ints
    answered: Ints
    repeated: int
    contradicted: int


def choose(rows: pa.Table, digest: str) -> ChosenReceipts:
    """For each event the receipt of this very version, else that of the answer, else a shadow's, of those with all
    inputs; and how many receipts repeat another one, and how many contradict one that is not late."""
    alone = all_differ(rows["event_id"])
    events = np.arange(rows.num_rows) if alone else _codes(rows["event_id"])
    answering = pc.is_in(rows["role"], value_set=pa.array([CHAMPION, CHALLENGER])).to_numpy()
    own, held = pc.equal(rows["digest"], digest).to_numpy(), rows[HELD].to_numpy()
    scored = _first(events, held * 4 + own * 2 + answering)
    scored[~held[scored]] = -1
    answered = _first(events, answering.astype(np.int64))
    answered[~answering[answered]] = -1
    repeated, contradicted = _repetitions(rows)
    return ChosenReceipts(scored, answered, repeated, contradicted)


def _repetitions(rows: pa.Table) -> tuple[int, int]:
    if all_differ(rows["score_id"]):
        return 0, 0
    ids, scores, late = _codes(rows["score_id"]), rows["score"].to_numpy(), rows["late"].to_numpy()
    first = _first(ids, (~late).astype(np.int64))
    differs = (scores != scores[first][ids]) & ~late & ~late[first][ids]
    return len(ids) - len(first), int(differs.sum())


def taken(rows: pa.Table, indexes: Ints) -> pa.Table:
    """The rows of these indexes; those that are negative stand for none. Where they are all rows in order, nothing is
    copied: most audits hold one receipt of an event, and memory that is used for the first time is slow."""
    if np.array_equal(indexes, np.arange(rows.num_rows)):
        return rows
    return rows.take(pa.array(indexes[indexes >= 0]))


def where(rows: pa.Table, chosen: npt.NDArray[np.bool_]) -> pa.Table:
    """The rows that are chosen; where all are, nothing is copied."""
    return rows if chosen.all() else rows.filter(pa.array(chosen))


def all_differ(texts: pa.ChunkedArray) -> bool:
    """Whether no text is there twice; by numbers made of them where these differ, which is found sooner."""
    numbers = [_numbers_of(chunk) for chunk in texts.chunks]
    found = [each for each in numbers if each is not None]
    if found and len(found) == len(numbers):
        ordered = np.sort(np.concatenate(found))
        if (ordered[1:] != ordered[:-1]).all():
            return True
    return bool(pc.count_distinct(texts, mode="all").as_py() == len(texts))


def _numbers_of(texts: pa.StringArray) -> npt.NDArray[np.uint64] | None:
    """A number for each text, the same for the same text, and hardly ever for another one; None of long texts."""
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    lengths = np.diff(ends)
    found = lengths.astype(np.uint64)
    longest = int(lengths.max()) if len(texts) else 0
    if texts.null_count or longest > _LONG:
        return None
    given = np.zeros(ends[-1] - ends[0] + 8, np.uint8)
    given[:-8] = np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]]
    words = np.ndarray(len(given) - 7, "<u8", given, strides=(1,))  # the eight bytes from each byte on
    starts = ends[:-1] - ends[0]
    for word in range(-(-longest // 8)):
        left = np.clip(lengths - 8 * word, 0, 8)
        own = words[np.minimum(starts + 8 * word, len(words) - 1)] & _MASKS[left]
        found = (found ^ own) * _ODD
        found ^= found >> np.uint64(29)
    return found


def kinds_of(rows: pa.Table, names: Sequence[str]) -> Iterator[tuple[Mapping[str, Any], pa.Table]]:
    """The rows that agree in these columns, with what they agree in."""
    if not rows.num_rows:
        return
    codes = np.zeros(rows.num_rows, np.int64)
    for name in [each for each in names if not _all_alike(rows[each])]:
        found = _codes(rows[name])
        codes = codes * (int(found.max()) + 1) + found
    firsts = np.zeros(1, np.int64)
    if codes.any():
        _, firsts, codes = np.unique(codes, return_index=True, return_inverse=True)
    for code, first in enumerate(firsts.tolist()):
        own = rows if len(firsts) == 1 else rows.filter(pa.array(codes == code))
        yield {name: rows[name][first].as_py() for name in names}, own


def _all_alike(values: pa.Array | pa.ChunkedArray) -> bool:
    """Whether all are one value, or all null: most receipts were made by one version in one run."""
    if values.null_count or not len(values):
        return bool(values.null_count == len(values))
    first = values[0]
    if values[len(values) - 1] != first:
        return False
    chunks = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    return all(pc.all(pc.equal(chunk, first)).as_py() for chunk in chunks)


def _codes(texts: pa.ChunkedArray) -> Ints:
    """Equal numbers for equal values, counted from 0 in the order in which they come; null is a value."""
    whole = texts.combine_chunks()
    whole = whole if isinstance(whole, pa.Array) else pa.concat_arrays(whole.chunks)
    found = whole.dictionary_encode(null_encoding="encode").indices.to_numpy(zero_copy_only=False)
    codes: Ints = found.astype(np.int64)
    return codes


def _first(codes: Ints, priority: Ints) -> Ints:
    """By code the row of greatest priority, of several the first."""
    if not len(codes) or codes.max() == len(codes) - 1:  # each row is of its own
        return np.arange(len(codes))
    order = np.lexsort((-priority, codes))
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return order[starts]
