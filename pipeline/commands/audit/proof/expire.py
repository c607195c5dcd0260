"""`halflife audit expire`: old receipts are dropped, and their roots stay."""

import argparse

from audit.files.chain import BrokenChain
from audit.files.segments import SegmentStatement, UnusableSegment
from audit.sealing.expiring import Expiry, TooEarlyToExpire, drop_receipts, due_segments
from models.store.backends import Backend
from models.store.store import ModelStore
from pipeline.command_line.parsing import Arguments, OneLineParser, moment
from pipeline.commands.audit.location import add_audit_options, audit_url, read_job
from pipeline.commands.output import Refused, exit_code, print_table
from pipeline.reporting.printer import note, print_json
from pipeline.spec.environment import STORE
from pipeline.spec.job import with_defaults
from schemas.times import format_time_us, now_us, parse_duration_us
from schemas.validation import MISSING, SpecError


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


def _expire(options: argparse.Namespace) -> None:
    spec = read_job(options)
    keep_us = parse_duration_us(with_defaults(spec, "audit")["keep_at_least"])
    expiry, backend = Expiry(options.before, keep_us, options.by, spec.get("job")), Backend(audit_url(options, spec))
    store = _store(options, spec)
    try:
        expiry.check(now_us())
        due = due_segments(backend, expiry)
        for segment in [] if options.dry_run else due:
            drop_receipts(backend, segment, expiry, now_us(), lambda said: _log(store, options.by, said))
    except (TooEarlyToExpire, BrokenChain, UnusableSegment) as error:
        raise Refused(str(error)) from None
    _say([each.statement for each in due], options)


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


def _say(due: list[SegmentStatement], options: argparse.Namespace) -> None:
    columns = ("segment", "receipts", "first_scored_at", "last_scored_at", "root")
    rows = [
        (each.number, each.records, _time(each.first_scored_us), _time(each.last_scored_us), each.root) for each in due
    ]
    if options.json:
        expired = [dict(zip(columns, row, strict=True)) for row in rows]
        print_json({"before": format_time_us(options.before), "dry_run": options.dry_run, "expired": expired})
    elif rows:
        print_table(columns, rows)
    else:
        note("no sealed segment is that old as a whole")


def _time(time_us: int | None) -> str | None:
    return None if time_us is None else format_time_us(time_us)
