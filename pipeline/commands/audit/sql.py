"""`halflife audit sql QUERY`: the audit as tables, for analysts."""

import argparse
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any

import pyarrow as pa

from audit.asking.access import OF_ALL
from audit.asking.answers import plain
from audit.asking.moments import time_text
from audit.asking.sources import AuditSources
from audit.asking.sql import Answered, QueryRefused, query
from audit.files.audit import ReceiptFilter
from pipeline.command_line.parsing import Arguments, OneLineParser, moment, positive
from pipeline.commands.audit.location import add_audit_options, asked, models_of
from pipeline.commands.output import Refused, exit_code, print_table
from pipeline.reporting.printer import note, print_json
from schemas.times import format_time_us

_LIMIT = 1000
_LOGGED = 4000
_MOST_NAMED = 50


def sql(arguments: Arguments) -> int:
    """`halflife audit sql QUERY`; returns the exit code."""
    parser = OneLineParser("halflife audit sql", "Ask the audit's receipts, scores and model_events by SQL (DuckDB).")
    parser.add_argument("query", metavar="QUERY", help="one SELECT over receipts, scores, model_events or all_receipts")
    parser.add_argument("--from", type=moment, metavar="TIME", dest="first_us", help="only events from this time on")
    parser.add_argument("--to", type=moment, metavar="TIME", dest="last_us", help="only events before this time")
    parser.add_argument("--version", metavar="VERSION", help="only receipts of this version")
    parser.add_argument(
        "--limit", type=positive, metavar="N", default=_LIMIT, help="show at most so many rows (default: %(default)s)"
    )
    add_audit_options(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _sql(options), options.verbose)


def _sql(options: argparse.Namespace) -> None:
    wanted = ReceiptFilter(version=options.version, since_us=options.first_us, until_us=options.last_us)
    with asked(options) as sources:
        try:
            answered = query(sources, options.query, wanted)
        except QueryRefused as refused:
            raise Refused(str(refused)) from None
        for model in models_of(options, sources):
            _log(sources, model, answered)
        reader = answered.rows
        rows = (list(row.values()) for batch in reader for row in _rows(batch))
        shown = list(islice(rows, options.limit))
        if options.json:
            for row in shown:
                print_json(dict(zip(reader.schema.names, row, strict=True)))
        else:
            print_table(reader.schema.names, shown)
        if next(rows, None) is not None:
            note(f"there are more than {options.limit} rows; next: --limit N")


def _log(sources: AuditSources, model: str, answered: Answered) -> None:
    """Writes who asks what, and whose receipts were decrypted for it: each subject by its hash, so that its answers
    show it; of very many only their number, which the answers of all of them show.

    Raises `StoreError` where it was not written: nothing may be shown then.
    """
    said, read = answered.said[:_LOGGED], answered.read.get(model, ())
    if not read:
        sources.record_access(model, "sql", query=said)
    elif len(read) > _MOST_NAMED:
        sources.record_access(model, "sql", query=said, **{OF_ALL: len(read)})
    else:
        for subject in sorted(read):
            sources.record_access(model, "sql", query=said, subject=subject)


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """The rows as JSON has them; times are formatted here, since some are of no calendar."""
    zoned = {field.name for field in batch.schema if pa.types.is_timestamp(field.type) and field.type.tz}
    columns = [
        column.cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.int64()) if name in zoned else column
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    plain_rows = pa.RecordBatch.from_arrays(columns, batch.schema.names).to_pylist()
    for row in plain_rows:
        times = {name: None if row[name] is None else time_text(row[name]) for name in zoned}
        yield {name: _plain(value) for name, value in row.items()} | times


def _plain(value: Any) -> Any:
    """A value as JSON has it; times in RFC 3339."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return format_time_us(round(value.timestamp() * 1e6))
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float | Decimal | bytes):
        return plain(value if isinstance(value, bytes) else float(value))
    return value if isinstance(value, str | int | None) else str(value)
