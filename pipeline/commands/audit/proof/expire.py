"""`halflife audit expire`: old receipts are dropped, and their roots stay."""

import argparse
from typing import NamedTuple

from audit.erasing.asking import names_held
from audit.files.chain import BrokenChain
from audit.files.sealed import SealedSegment
from audit.files.segments import SegmentStatement
from audit.sealing.expiring import Expiry, TooEarlyToExpire, drop_receipts, due_segments, is_encrypted, kept_for
from models.privacy.key_store import KeyStore
from models.store.backends import Backend
from models.store.store import ModelStore
from pipeline.command_line.key_stores import key_store_at, keys_url
from pipeline.command_line.parsing import Arguments, OneLineParser, moment
from pipeline.commands.audit.location import add_audit_options, audit_url, read_job
from pipeline.commands.output import Refused, exit_code, print_table
from pipeline.reporting.printer import note, print_json
from pipeline.spec.environment import STORE
from pipeline.spec.job import with_defaults
from schemas.errors import UnusableData
from schemas.times import format_time_us, now_us, parse_duration_us
from schemas.validation import MISSING, Absent, SpecError


def expire(arguments: Arguments) -> int:
    """`halflife audit expire --before DATE`; returns the exit code."""
    parser = OneLineParser(
        "halflife audit expire", "Drop the receipts of segments that were scored before a day; their roots stay."
    )
    parser.add_argument("--before", required=True, type=moment, metavar="DATE", help="a day, or an RFC 3339 time")
    parser.add_argument("--dry_run", action="store_true", help="only show what would be dropped")
    add_audit_options(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _expire(options), options.verbose)


class _Kept(NamedTuple):
    """A segment that is old enough and stays: it has receipts of subjects under a hold, by what stands for them."""

    segment: SegmentStatement
    held: list[str]


def _expire(options: argparse.Namespace) -> None:
    spec = read_job(options)
    keep_us = parse_duration_us(with_defaults(spec, "audit")["keep_at_least"])
    expiry, backend = Expiry(options.before, keep_us, options.by, spec.get("job")), Backend(audit_url(options, spec))
    store, url = _store(options, spec), keys_url(options, spec)
    keys = None if url is None else key_store_at(url)
    dropped, kept = list[SegmentStatement](), list[_Kept]()
    try:
        expiry.check(now_us())
        for segment in due_segments(backend, expiry):
            held = _held(segment, keys)
            if held:
                kept.append(_Kept(segment.statement, held))
                continue
            dropped.append(segment.statement)
            if not options.dry_run:
                drop_receipts(backend, segment, expiry, now_us(), lambda said: _log(store, options.by, said))
    except (TooEarlyToExpire, BrokenChain, UnusableData) as error:
        raise Refused(str(error)) from None
    _say(dropped, kept, options)


def _held(segment: SealedSegment, keys: KeyStore | None) -> list[str]:
    """Which subjects under a hold a segment has receipts of; asked anew for each, since one may be held meanwhile.

    Raises:
        SpecError: its receipts are encrypted, so that some key store has holds, but none is named.
        UnusableData, StoreError: that cannot be said; nothing of it may be dropped then.
    """
    if keys is not None:
        names = names_held(keys)
        return sorted({names[each] for each in kept_for(segment, names)})
    if is_encrypted(segment):
        found = Absent(f"missing, but the receipts of segment {segment.statement.number} are encrypted")
        raise SpecError("--keys", found, "the key store, whose holds count, or --job FILE with privacy.keys")
    return []


def _store(options: argparse.Namespace, spec: object) -> ModelStore:
    """The store in whose access log it is written."""
    model = with_defaults(spec, "model")  # type: ignore[arg-type]
    url, name = options.store or model.get("store"), options.model or model.get("name")
    for option, value in (("--store", url), ("--model", name)):
        if value is None:
            where = f" or {STORE} in the environment" if option == "--store" else ""
            raise SpecError(
                option, MISSING, f"a value, or --job FILE to take it from{where}: its access log says what expired"
            )
    return ModelStore(str(url), str(name))


def _log(store: ModelStore, actor: str, said: SegmentStatement) -> None:
    store.record_access("expired", actor, segment=said.number, receipts=said.records, root=said.root)


def _say(due: list[SegmentStatement], kept: list[_Kept], options: argparse.Namespace) -> None:
    columns = ("segment", "receipts", "first_scored_at", "last_scored_at", "root")
    rows = [_row(each) for each in due]
    if options.json:
        expired = [dict(zip(columns, row, strict=True)) for row in rows]
        stays = [dict(zip(columns, _row(each.segment), strict=True)) | {"held": each.held} for each in kept]
        said = {"before": format_time_us(options.before), "dry_run": options.dry_run, "expired": expired, "kept": stays}
        print_json(said)
        return
    if rows:
        print_table(columns, rows)
    for each in kept:
        named = ", ".join(each.held)
        note(f"segment {each.segment.number} is kept: it has receipts of subjects under a hold: {named}", "warning")
    if not rows and not kept:
        note("no sealed segment is that old as a whole")


def _row(said: SegmentStatement) -> tuple[int, int, str | None, str | None, str]:
    return said.number, said.records, _time(said.first_scored_us), _time(said.last_scored_us), said.root


def _time(time_us: int | None) -> str | None:
    return None if time_us is None else format_time_us(time_us)
