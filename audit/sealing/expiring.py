"""Expiry: the receipts of old segments are dropped; what the segments say of themselves, and so all roots, is kept."""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass

from audit.files.appending import append_model_event
from audit.files.chain import read_chain
from audit.files.sealed import RecordsExpired, SealedSegment, StoredBlock
from audit.files.segments import INDEX, RECEIPTS, SegmentStatement
from models.store.backends import Backend
from schemas.avro.datums import decode_block
from schemas.errors import HalflifeError
from schemas.records import ModelEvent
from schemas.times import format_time_us


class TooEarlyToExpire(HalflifeError):
    """Receipts that the job's `audit.keep_at_least` keeps."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """Receipts that were scored before `before_us` (microseconds since 1970) are dropped, by `actor`; `keep_us`: how
    long each is kept at least."""

    before_us: int
    keep_us: int
    actor: str
    job: str | None = None

    def check(self, now_us: int) -> None:
        """Raises `TooEarlyToExpire`."""
        if self.before_us > now_us - self.keep_us:
            latest, given = format_time_us(now_us - self.keep_us), format_time_us(self.before_us)
            raise TooEarlyToExpire(
                f"--before {given} is not allowed; expected: {latest} at the latest (audit.keep_at_least)"
            )


def due_segments(backend: Backend, expiry: Expiry) -> list[SealedSegment]:
    """The segments all of whose receipts were scored before, and that still have them.

    Raises:
        BrokenChain, UnusableSegment: what is sealed is not whole.
        StoreUnavailable: the store did not answer.
    """
    found = [SealedSegment(backend, folder) for folder in read_chain(backend).folders]
    return [each for each in found if _is_due(each.statement, expiry) and _is_there(backend, each)]


def _is_due(statement: SegmentStatement, expiry: Expiry) -> bool:
    scored_us = statement.last_scored_us
    return statement.kind == RECEIPTS and scored_us is not None and scored_us < expiry.before_us


def _is_there(backend: Backend, segment: SealedSegment) -> bool:
    return any(backend.size(key) is not None for key in (segment.file, segment.key(INDEX)))


def kept_for(segment: SealedSegment, held: Collection[str]) -> list[str]:
    """Which of these subjects, as records name them, a segment has receipts of: these may not be dropped.

    Raises:
        UnusableIndex, UnusableSegment: that cannot be said.
        StoreUnavailable: the store did not answer.
    """
    try:
        return [name for name in held if segment.find("subject", name)]
    except RecordsExpired:  # a part of it was dropped already
        return []


def is_encrypted(segment: SealedSegment) -> bool:
    """Whether the first or the last block of a segment has a receipt that names a key. Raises as `kept_for`."""
    try:
        blocks = [segment.block(number) for number in sorted({0, segment.index.blocks - 1})]
    except RecordsExpired:
        return False
    return any(_names_key(block, segment.schema) for block in blocks)


def _names_key(block: StoredBlock, schema: str) -> bool:
    receipts = decode_block(block.data, len(block.location.offsets), schema).rows
    at = receipts.schema.get_field_index("key_id")
    return at >= 0 and bool(receipts.column(at).null_count < receipts.num_rows)


def drop_receipts(
    backend: Backend, segment: SealedSegment, expiry: Expiry, now_us: int, log: Callable[[SegmentStatement], None]
) -> None:
    """Drops the receipts of a segment. The audit and then `log` say so first: killed in between, it is done again.

    Raises:
        StoreUnavailable: the store did not answer.
    """
    said = segment.statement
    evidence = {
        "segment": said.number, "root": said.root, "receipts": said.records,
        "first_scored_at": _time(said.first_scored_us), "last_scored_at": _time(said.last_scored_us),
    }  # fmt: skip
    reason = f"scored before {format_time_us(expiry.before_us)}"
    event = ModelEvent(now_us, "expired", "", None, None, None, expiry.actor, reason, json.dumps(evidence))
    append_model_event(backend, event, expiry.job)
    log(said)
    for key in (segment.file, segment.key(INDEX)):
        backend.delete(key)


def _time(time_us: int | None) -> str | None:
    return None if time_us is None else format_time_us(time_us)
