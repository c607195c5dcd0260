"""An audit that can be asked: the receipts and model events that jobs wrote to a folder or an object store."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from audit.files.formats import MODEL_EVENT, RECEIPT, plain_rows
from audit.files.found.many_files import ManyFiles, Taken
from audit.files.found.receipts import FoundReceipt, found_receipts
from audit.files.index import UnusableIndex
from audit.files.reading import Needles, ReadStretch, origin_of
from audit.files.sealed import RecordsExpired, SealedFiles, SealedSegment
from audit.files.segments import CHECKPOINTS, INDEX, KINDS, SEALED, SUMMARY, UnusableSegment
from models.store.backends import Backend
from models.store.local_files import Listing
from schemas.errors import HalflifeError, UnusableData
from schemas.records import arrow_schema

if TYPE_CHECKING:
    from audit.files.found.receipt_keys import ReceiptKeys

FOLDERS = {RECEIPT: "receipts", MODEL_EVENT: "models"}
Name = Literal["score_id", "event_id", "subject"]
T = TypeVar("T")
_READERS = 4
_MANY_UNSEALED = 2_000


class NoAudit(HalflifeError):
    """There is nothing of an audit where one is said to be."""


class LookedThrough(NamedTuple):
    """What was looked through for an answer: receipts, files, and how many of these could not be read, or not all;
    `expired`: sealed segments whose records were dropped; `unsealed`: files that no index says anything of."""

    receipts: int
    files: int
    unreadable: int
    expired: int = 0
    unsealed: int = 0

    def __str__(self) -> str:
        gone = f" ({self.expired} sealed segments have expired)" if self.expired else ""
        files = "1 file" if self.files == 1 else f"{self.files} files"
        receipts = "1 receipt" if self.receipts == 1 else f"{self.receipts} receipts"
        return f"{receipts} in {files}, of which {self.unreadable} unreadable{gone}"

    def advice(self, otherwise: str) -> str:
        """What to do next where what was asked for is not there."""
        return "halflife audit verify" if self.unreadable else otherwise

    @property
    def delay(self) -> str:
        """What made the answer slow, and what makes the next one fast; empty where nothing did."""
        if self.unsealed < _MANY_UNSEALED:
            return ""
        seal = "halflife audit seal --job FILE, or audit.seal.in_job in the job's spec"
        return f"{self.unsealed} files of receipts are not sealed, and were searched one by one; next: {seal}"


class ReceiptFilter(NamedTuple):
    """Which receipts are wanted: all that is given must hold; times in microseconds since 1970, `until_us` not
    included."""

    version: str | None = None
    decision: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    event_ids: tuple[str, ...] | None = None

    def needles(self) -> Needles:
        """Byte strings of which at least one is in each block that has such a receipt; empty: nothing is known."""
        named = next((name for name in (self.version, self.decision) if name), None)
        if self.event_ids is not None:
            return tuple(each.encode() for each in self.event_ids) or (b"\xff" * 16,)
        return (named.encode(),) if named else ()

    def may_be_within(self, first_us: int | None, last_us: int | None) -> bool:
        """Whether events from one time to another, None where that is not known, may be of the time that is wanted."""
        too_early = self.since_us is not None and last_us is not None and last_us < self.since_us
        return not too_early and not (self.until_us is not None and first_us is not None and first_us >= self.until_us)

    def mask(self, rows: pa.RecordBatch) -> pa.Array:
        """True for each row that is wanted."""
        times = rows.column("event_time").cast(pa.int64())
        masks = [
            pc.equal(rows.column(name), value) for name in ("version", "decision") if (value := getattr(self, name))
        ]
        if self.since_us is not None:
            masks.append(pc.greater_equal(times, self.since_us))
        if self.until_us is not None:
            masks.append(pc.less(times, self.until_us))
        if self.event_ids is not None:
            masks.append(pc.is_in(rows.column("event_id"), pa.array(self.event_ids, pa.string())))
        whole = pa.array([True] * rows.num_rows, pa.bool_())
        for mask in masks:
            whole = pc.and_(whole, pc.fill_null(mask, False))
        return whole


EVERYTHING = ReceiptFilter()


class AuditParts(NamedTuple):
    """The files of an audit's receipts: sealed segments of which a summary says what is in them, and the (key, bytes)
    of all that must be read."""

    summarised: tuple[SealedSegment, ...]
    others: tuple[tuple[str, int], ...]


class Audit:
    """Reads what jobs wrote to `sinks.audit`; files that are added meanwhile are seen by the next question.

    `broken`: why each file was passed over, or parts of it, by its key; it grows with what is asked. A file that a job
    has not finished is hidden, and no part of an audit.

    Args:
        url: a path, or a `file://`, `s3://`, `gs://` or `az://` URL.
        keys: of receipts that are encrypted; None where there are none at hand.

    Raises:
        InvalidStoreUrl: no object store can be opened with it.
    """

    def __init__(self, url: str, keys: "ReceiptKeys | None" = None) -> None:
        self.keys = keys
        self._backend = Backend(url)
        self.url = self._backend.url
        self.broken: dict[str, str] = {}
        self._read: dict[str, int] = {}
        self._sealed = SealedFiles(self._backend)
        self._numbers: dict[str, int] = {}
        self._read_whole: set[str] = set()
        self._expired: set[str] = set()
        self._listed: dict[str, Listing] = {}

    @property
    def looked_through(self) -> LookedThrough:
        """What the questions so far read of the receipts, each file counted once."""
        folders = (f"{FOLDERS[RECEIPT]}/", f"{SEALED}/", f"{CHECKPOINTS}/")
        unreadable = sum(1 for key in self.broken if key.startswith(folders))
        loose = sum(1 for key in self._read if key.startswith(folders[0]))
        return LookedThrough(sum(self._read.values()), len(self._read), unreadable, len(self._expired), loose)

    def check(self) -> None:
        """Raises `NoAudit` where there are no receipts and no model events at all."""
        self._listed = {record: self._backend.scan(FOLDERS[record]) for record in FOLDERS}
        loose = (key for listing in self._listed.values() for key, _ in listing.files if not _is_hidden(key))
        if not any(loose) and not any(map(self._segments, FOLDERS)):
            folders = " or ".join(f"{folder}/" for folder in FOLDERS.values())
            raise NoAudit(f"{self.url} holds no audit; expected: files of a job's `sinks.audit` in {folders}")

    def find(self, by: Name, value: str) -> list[FoundReceipt]:
        """All receipts with this `score_id`, `event_id` or `subject`, retries and replays included: sealed ones by
        their index, then those of other files in the order of the files' names. With keys those too that have a hash
        in place of the value.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        # What is sealed meanwhile is then found there.
        values = self.stored_names(by, value)
        needles, among = tuple(each.encode() for each in values), pa.array(values, pa.string())
        loose = list(self._found(needles, lambda rows: pc.is_in(rows.column(by), among), self._loose))
        found = list[FoundReceipt]()
        for each in values:
            for segment, (columns, datums, indexes) in self._sealed.find(by, each):
                rows = ReadStretch(columns, datums, 0)
                found += found_receipts(rows, segment.file, segment.statement.number, self.keys, indexes)
        self._segments(RECEIPT)
        merged = self._sealed.merged()
        return found + [each for each in loose if each.file not in merged]

    def stored_names(self, by: Name, value: str) -> Sequence[str]:
        """By what a record is found: the value, and with keys what stands for it in each epoch."""
        if self.keys is None or by == "score_id":
            return [value]
        return [value, *self.keys.stored(by, value)]

    def scan(self, wanted: ReceiptFilter = EVERYTHING) -> Iterator[FoundReceipt]:
        """The receipts that are wanted, in the order of the files' names. Raises as `find`."""
        return self._found(wanted.needles(), wanted.mask, partial(self._files, wanted=wanted))

    def parts(self, wanted: ReceiptFilter = EVERYTHING) -> AuditParts:
        """The files that may have receipts of the time that is wanted, once each. A summary that cannot be read is
        broken, and its segment is one of those to read. Raises as `find`."""
        files = self._files(RECEIPT, wanted)
        sealed = {each.file: each for each in self._sealed.refresh() if each.statement.summarised}
        asked = [sealed[key] for key, _ in files if key in sealed and key not in self._read_whole]
        with ThreadPoolExecutor(_READERS) as readers:
            sound = dict(zip(asked, readers.map(self._summary_is_sound, asked), strict=True))
        summarised = tuple(segment for segment in asked if sound[segment])
        known = {segment.file for segment in summarised}
        return AuditParts(summarised, tuple(each for each in files if each[0] not in known))

    def _summary_is_sound(self, segment: SealedSegment) -> bool:
        try:
            return bool(segment.summary.num_rows)
        except UnusableSegment as error:
            self.broken[segment.key(SUMMARY)] = str(error)
            return False

    def read_whole(self, segment: SealedSegment, why: UnusableData) -> None:
        """Says that a segment is damaged where its summary led to: from now on it is one of those to read."""
        self._read_whole.add(segment.file)
        if not isinstance(why, RecordsExpired):
            self.broken.setdefault(segment.key(INDEX) if isinstance(why, UnusableIndex) else segment.file, str(why))

    def columns(
        self, names: Sequence[str], wanted: ReceiptFilter = EVERYTHING, among: AuditParts | None = None
    ) -> Iterator[pa.RecordBatch]:
        """As `scan`, but only these fields, as columns; one that an earlier schema does not have is null. `among`: only
        the files of these that must be read."""

        def taken(_: str, rows: ReadStretch) -> list[pa.RecordBatch]:
            return [columns_of(rows.columns, names, wanted)]

        if among is not None:
            return self._each(RECEIPT, wanted.needles(), taken, lambda _: list(among.others), by_file=False)
        return self._each(RECEIPT, wanted.needles(), taken, partial(self._files, wanted=wanted), by_file=False)

    def whole_columns(self, wanted: ReceiptFilter = EVERYTHING) -> Iterator[pa.RecordBatch]:
        """As `columns`, with all fields that the schema of each file has."""

        def taken(_: str, rows: ReadStretch) -> list[pa.RecordBatch]:
            mask = wanted.mask(rows.columns)
            return [rows.columns if pc.all(mask).as_py() else rows.columns.filter(mask)]

        return self._each(RECEIPT, wanted.needles(), taken, partial(self._files, wanted=wanted), by_file=False)

    def model_events(self) -> Iterator[Mapping[str, Any]]:
        """All model events, with every field of today's record (`at` in microseconds since 1970) and the `job` and
        `run` that wrote the file (None where it does not say so), in the order of the files' names. Raises as `find`.
        """

        def taken(key: str, rows: ReadStretch) -> list[Mapping[str, Any]]:
            origin = origin_of(self._backend, key)
            return [event | origin for event in plain_rows(rows.columns, MODEL_EVENT)]

        return self._each(MODEL_EVENT, (), taken)

    def last_events(self, model: str, versions: Collection[str], excepted: str) -> dict[str, int]:
        """The latest event time (microseconds since 1970) that each version of a model has a receipt of, in any role
        except one; versions without receipts are not there. Files that are not sealed are read, and of the sealed
        segments, the latest first, only those that may have a later event. Raises as `find`."""
        sealed = [segment for segment, _ in self._segments(RECEIPT)]
        spans = sorted(((each.statement.last_event_us or 0, each.file) for each in sealed), reverse=True)
        merged, last = self._sealed.merged(), dict[str, int]()
        loose = [(key, size) for key, size in self._loose(RECEIPT) if key not in merged]
        for until_us, files in [(None, loose), *((until_us, [(key, 0)]) for until_us, key in spans)]:
            wanted = [each for each in versions if until_us is None or last.get(each, until_us - 1) < until_us]
            if not wanted:
                break
            for key, time_us in self._last_events(files, model, wanted, excepted):
                last[key] = max(time_us, last.get(key, time_us))
        return last

    def _last_events(
        self, files: list[tuple[str, int]], model: str, versions: Collection[str], excepted: str
    ) -> Iterator[tuple[str, int]]:
        """A version and its latest event time in each stretch of these files."""

        def taken(_: str, rows: ReadStretch) -> list[tuple[str, int]]:
            found = rows.columns
            is_wanted = pc.and_(pc.equal(found.column("model"), model), pc.not_equal(found.column("role"), excepted))
            own = found.filter(is_wanted)
            times = pa.table({"version": own.column("version"), "time": own.column("event_time").cast(pa.int64())})
            latest = times.group_by("version").aggregate([("time", "max")])
            pairs = zip(latest.column("version").to_pylist(), latest.column("time_max").to_pylist(), strict=True)
            return [pair for pair in pairs if pair[0] in versions]

        return self._each(RECEIPT, tuple(each.encode() for each in versions), taken, lambda _: files, by_file=False)

    def _found(
        self, needles: Needles, mask_of: Callable[[pa.RecordBatch], pa.Array], files: "ListFiles | None" = None
    ) -> Iterator[FoundReceipt]:
        def taken(key: str, rows: ReadStretch) -> list[FoundReceipt]:
            mask = pc.fill_null(mask_of(rows.columns), False)
            indexes = pc.indices_nonzero(mask)
            if not len(indexes):
                return []
            chosen = ReadStretch(rows.columns.filter(mask), rows.datums.take(indexes), rows.first)
            return found_receipts(chosen, key, self._numbers.get(key), self.keys, indexes.to_pylist())

        return self._each(RECEIPT, needles, taken, files, datums=True)

    def _each(
        self,
        record: str,
        needles: Needles,
        taken: Taken[T],
        listed: "ListFiles | None" = None,
        datums: bool = False,
        by_file: bool = True,
    ) -> Iterator[T]:
        """What is taken of the files of a record, in the order of their names; the rest as for `ManyFiles`."""
        many = ManyFiles(self._backend, record, needles, taken, datums, by_file)
        for one, items in many.each((listed or self._files)(record)):
            yield from items
            self.broken.update({one.key: one.problem} if one.problem else {})
            if record == RECEIPT:
                self._read[one.key] = one.records

    def _files(self, record: str, wanted: ReceiptFilter = EVERYTHING) -> list[tuple[str, int]]:
        """(key, bytes) of the files of a record, those of sealed segments first, without what these were made of. What
        is said of a segment shows whether it has events of the time that is wanted."""
        loose = self._loose(record)
        found = [
            (segment.file, size)
            for segment, size in self._segments(record)
            if wanted.may_be_within(segment.statement.first_event_us, segment.statement.last_event_us)
        ]
        merged = self._sealed.merged()
        return found + [(key, size) for key, size in loose if key not in merged]

    def _segments(self, record: str) -> list[tuple[SealedSegment, int]]:
        """The sealed segments of a record that have not expired, with the bytes of their records; each counts as looked
        through."""
        found = list[tuple[SealedSegment, int]]()
        for segment in self._sealed.refresh():
            if KINDS[segment.statement.kind] != record:
                continue
            size = self._backend.size(segment.file)
            if size is None:
                self._expired.add(segment.file)
            else:
                self._numbers[segment.file] = segment.statement.number
                found.append((segment, size))
                if record == RECEIPT:
                    self._read.setdefault(segment.file, segment.statement.records)
        self.broken.update(self._sealed.broken)
        return found

    def _loose(self, record: str) -> list[tuple[str, int]]:
        """(key, bytes) of the files that are not sealed; what is no file is broken. Hidden ones are not finished."""
        listing = self._listed.pop(record, None) or self._backend.scan(FOLDERS[record])  # that of `check` is of now
        for key, odd in listing.odd.items():
            if not _is_hidden(key):
                self.broken.setdefault(key, str(odd))
        return [(key, size) for key, size in listing.files if not _is_hidden(key)]


def columns_of(rows: pa.RecordBatch, names: Sequence[str], wanted: ReceiptFilter) -> pa.RecordBatch:
    """These fields of the rows that are wanted; one that an earlier schema does not have is null."""
    chosen = _selected(rows, names)
    if wanted == EVERYTHING:
        return chosen
    mask = wanted.mask(rows)
    return chosen if pc.all(mask).as_py() else chosen.filter(mask)  # features would be copied value by value


def _selected(rows: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    known = arrow_schema(RECEIPT)
    columns = [
        rows.column(name) if name in rows.schema.names else pa.nulls(rows.num_rows, known.field(name).type)
        for name in names
    ]
    return pa.RecordBatch.from_arrays(columns, list(names))


ListFiles = Callable[[str], list[tuple[str, int]]]


def _is_hidden(key: str) -> bool:
    return key.startswith(".") or "/." in key
