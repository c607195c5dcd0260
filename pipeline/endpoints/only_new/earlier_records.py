"""What earlier runs of a job have done, read from the scores and dead letters that they wrote."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from audit.files.audit import Audit
from pipeline.endpoints.files.record_columns import read_columns
from schemas.records import arrow_schema
from transforms.arrivals.done_before import told

if TYPE_CHECKING:
    from audit.files.found.receipt_keys import ReceiptKeys

_FIELDS = ("stage", "error", "payload", "event_id", "key_id")
_ANSWER = ("event_id", "version", "role", "digest", "score", "latency_us", "job")
_QUALITY = (
    *("window_start", "window_end", "pane", "version", "role", "segment", "metric", "value", "n", "events"),
    *("label_coverage", "against"),
)


class LetterChoice(NamedTuple):
    """Which dead letters: those of this stage and this error; None: of any."""

    stage: str | None = None
    error: str | None = None

    def of(self, letters: pa.Table) -> pa.Table:
        """Those of the letters."""
        for name, value in self._asdict().items():
            if value is not None:
                letters = letters.filter(pc.equal(letters[name], value))
        return letters


def _one(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column


@dataclass(frozen=True, slots=True)
class EarlierRecords:
    """The files of earlier runs of a job; `retries`: events of dead letters are to be scored again; `choice`: only
    these; `audit`: where its receipts are, None where it keeps none; `keys`: the key store of a job with privacy. Ids
    are as records have them, payloads as they were."""

    scores: tuple[str, ...]
    dead_letters: tuple[str, ...]
    retries: bool = False
    choice: LetterChoice | None = None
    job: str = ""
    audit: str | None = None
    of_quality: tuple[str, ...] = ()
    keys: str | None = None

    def answers(self) -> pa.Table:
        """The answers of the receipts of the job, sealed or not: `_ANSWER` without `job`."""
        whole = pa.schema([arrow_schema("Receipt").field(name) for name in _ANSWER])
        rows = [] if self.audit is None else list(Audit(self.audit).columns(_ANSWER))
        found = pa.concat_tables([whole.empty_table(), *(pa.Table.from_batches([each]).cast(whole) for each in rows)])
        own = pc.fill_null(pc.equal(found["job"], self.job), True)  # earlier schemas did not say it
        return found.filter(own).drop_columns("job")

    def quality(self) -> pa.Table:
        """The records of quality, without their intervals."""
        return read_columns(self.of_quality, "Quality", _QUALITY)

    def event_ids(self) -> pa.Array:
        """The ids of events that are scored, and, unless they are to be tried again, of those that are dead letters."""
        ids = [read_columns(self.scores, "Score", ["event_id"])["event_id"].combine_chunks()]
        if not self.retries:
            ids.append(read_columns(self.dead_letters, "DeadLetter", ["event_id"])["event_id"].combine_chunks())
        chunks = [chunk for each in ids for chunk in (each.chunks if isinstance(each, pa.ChunkedArray) else [each])]
        return pa.concat_arrays([chunk.cast(pa.string()) for chunk in chunks]).drop_null()

    def chosen(self) -> tuple[pa.Array, pa.Array] | None:
        """Payloads and ids of the events of the letters that alone are fed again: of those that can be read."""
        if self.choice is None:
            return None
        rows = self.choice.of(read_columns(self.dead_letters, "DeadLetter", _FIELDS))
        payloads = self.opened(rows)
        readable = payloads.is_valid()
        return payloads.drop_null(), _one(rows["event_id"].filter(readable)).drop_null()

    def letters(self) -> Iterator[tuple[str, bytes]]:
        """Stage of each dead letter, and by what it is told, file by file: payloads may be large."""
        for path in self.dead_letters:
            rows = read_columns([path], "DeadLetter", _FIELDS)
            payloads = [payload or b"" for payload in self.opened(rows).to_pylist()]
            by = map(told, payloads, rows["event_id"].to_pylist())
            yield from zip(rows["stage"].to_pylist(), by, strict=True)

    def opened(self, letters: pa.RecordBatch | pa.Table) -> pa.Array:
        """The original bytes of letters; null where they are encrypted with a key that is not there any more."""
        payloads = _one(letters["payload"])
        if self.keys is None or letters["key_id"].null_count == letters.num_rows:
            return payloads
        keys = _keys_at(self.keys)
        known = keys.found(letters["key_id"])

        def opened(key_id: str | None, stage: str, error: str, payload: bytes) -> bytes | None:
            if key_id is None:
                return payload
            found = keys.letter(known[key_id], stage, error, payload)
            return None if isinstance(found, str) else found.payload

        named = [letters[name].to_pylist() for name in ("key_id", "stage", "error")]
        return pa.array(map(opened, *named, payloads.to_pylist()), pa.binary())


@lru_cache(maxsize=2)
def _keys_at(url: str) -> "ReceiptKeys":
    from audit.files.found.receipt_keys import ReceiptKeys  # few jobs have keys, and it takes a while to import

    return ReceiptKeys(url)
