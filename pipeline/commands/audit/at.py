"""`halflife audit at TIME`: what served events of a time."""

import argparse
from typing import Any

from audit.asking.at import ServingThen, serving_at
from audit.asking.decision.sections import Section, release_pairs, shown
from audit.asking.moments import time_text
from pipeline.command_line.parsing import Arguments, OneLineParser, moment
from pipeline.commands.audit.changes import changes_by, changes_section, known_changes
from pipeline.commands.audit.location import add_audit_options, asked, model_of
from pipeline.commands.audit.showing import print_sections
from pipeline.commands.output import exit_code
from pipeline.reporting.printer import print_json

_SHOWN_IDS = 20


def at(arguments: Arguments) -> int:
    """`halflife audit at TIME`; returns the exit code."""
    parser = OneLineParser("halflife audit at", "Show which versions served events of a time, since when, and why.")
    parser.add_argument("at_us", type=moment, metavar="TIME", help="event time: RFC 3339, a day, or now")
    parser.add_argument(
        "--known_at", type=moment, metavar="TIME", help="as it was known at this time: later releases are left out"
    )
    parser.add_argument("--no_events", action="store_true", help="do not look for events that another release answered")
    add_audit_options(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _at(options), options.verbose)


def _at(options: argparse.Namespace) -> None:
    with asked(options, options.known_at) as sources:
        model = model_of(options, sources)
        found = serving_at(sources, model, options.at_us, events=not options.no_events)
        served = [each["version"] for each in found.versions]
        found = found._replace(changes=changes_by(known_changes(options, model), options.at_us, served))
        if options.json:
            print_json(found.document())
        else:
            print_sections(_sections(found))


def _sections(found: ServingThen) -> list[Section]:
    until = "" if found.span.ends_us is None else f", until {time_text(found.span.ends_us)}"
    versions = [
        (each["version"], each["role"], each["share"], each["digest"], _admitted(each)) for each in found.versions
    ]
    activated = [
        (each["first_event"], each["at"], each["worker"], each["events_answered_by_another_release"])
        for each in found.activated
    ]
    refused = [
        (each["release"], each["effective_from"], each["version"], each["job"], each["reason"], each["detail"])
        for each in found.refused
    ]
    parts = [
        Section(
            f"{found.model}: in force for events of {time_text(found.at_us)}{until}",
            (),
            [(name, shown(value)) for name, value in release_pairs(found.span.release) if value not in (None, "")],
        ),
        Section("Versions", ("version", "role", "share", "digest", "admitted"), versions),
        Section("First answers", ("event time", "at", "worker", "answered by another before"), activated),
        Section("Refused by then", ("release", "from", "version", "by job", "reason", "detail"), refused),
        changes_section(found.changes),
        Section("Events that another release answered", (), _overtaken(found)),
    ]
    return [part for part in parts if part.rows]


def _admitted(version: dict[str, Any]) -> str:
    said = []
    for each in version["admitted"]:
        warned = f", with warnings: {shown(each['warnings'])}" if each.get("warnings") else ""
        said.append(f"{each['at']} by {each['job'] or 'a job'}: all checks passed{warned}")
    return "; ".join(said) or "not known: no model event says so"


def _overtaken(found: ServingThen) -> list[tuple[Any, ...]]:
    if found.overtaken is None:
        return []
    ids = found.overtaken
    more = f", and {len(ids) - _SHOWN_IDS} more: --json lists all" if len(ids) > _SHOWN_IDS else ""
    return [("events", len(ids)), *([("ids", ", ".join(ids[:_SHOWN_IDS]) + more)] if ids else [])]
