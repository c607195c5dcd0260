"""`halflife tables release`: from which event time on a version of a table holds."""

import argparse

from models.releases.release import Release
from pipeline.command_line.parsing import Arguments, OneLineParser, add_actor_option, duration, moment
from pipeline.commands.output import exit_code, print_pairs
from pipeline.commands.tables.location import add_table_options, refuse_unknown, table_store
from pipeline.reporting.printer import note, print_json
from schemas.times import format_time_us, now_us


def release(arguments: Arguments) -> int:
    """`halflife tables release`; returns the exit code."""
    parser = OneLineParser("halflife tables release", "Decide from which event time on a version of a table holds.")
    parser.add_argument("--version", required=True, metavar="V", help="the version that holds from then on")
    parser.add_argument(
        "--from", type=moment, metavar="TIME", dest="effective_from",
        help="event time from which on it holds: a day, an RFC 3339 time or now (default: now + 2 polls)",
    )  # fmt: skip
    parser.add_argument("--poll", type=duration, metavar="DURATION", help="the job's poll interval (default: 10s)")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why")
    add_actor_option(parser)
    add_table_options(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _release(options), options.verbose)


def _release(options: argparse.Namespace) -> None:
    store = table_store(options)
    refuse_unknown(store)
    at_us = now_us()
    from_us = at_us + 2 * options.poll if options.effective_from is None else options.effective_from
    written = store.append_release(
        version=options.version, effective_from_us=from_us, by=options.by, reason=options.reason, now_us=at_us
    )
    store.record_access("release", options.by, release=written.sequence, version=options.version, reason=options.reason)
    if written.effective_from_us < at_us:
        note("its time has begun: events that are joined already keep the version that answered them")
    document = shown(written)
    if options.json:
        print_json({"table": store.table, "store": store.url, **document})
        return
    print_pairs([(name.replace("_", " "), value) for name, value in document.items()])


def shown(one: Release) -> dict[str, object]:
    """A release of a table as verbs show it."""
    return {
        "release": one.sequence,
        "effective_from": format_time_us(one.effective_from_us),
        "version": one.champion,
        "by": one.by,
        "at": format_time_us(one.at_us),
        "reason": one.reason,
    }
