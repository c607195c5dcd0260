"""`halflife models access`: who published, released, read or loaded what, and when."""

import argparse

from models.store.access_log import AccessEntry
from pipeline.command_line.parsing import Arguments, OneLineParser, add_store_options, day
from pipeline.commands.models.location import find_location, refuse_absent
from pipeline.commands.output import exit_code, print_table
from pipeline.reporting.printer import print_json


def access(arguments: Arguments) -> int:
    """`halflife models access`; returns the exit code."""
    parser = OneLineParser("halflife models access", "Read the access log of a model.")
    parser.add_argument("--from", type=day, metavar="DAY", dest="first_day", help="first day, such as 2013-03-01 (UTC)")
    parser.add_argument("--to", type=day, metavar="DAY", dest="last_day", help="last day, inclusive")
    parser.add_argument("--actor", metavar="WHO", help="only what this actor did")
    parser.add_argument("--action", metavar="ACTION", help="only this, such as publish, release or show")
    add_store_options(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _access(options), options.verbose)


def _access(options: argparse.Namespace) -> None:
    store = find_location(options).store
    scan = store.accesses(options.first_day, options.last_day)
    entries = [entry for entry in scan.entries if _wanted(entry, options)]
    if not scan.entries:
        refuse_absent(options, store)
    if options.json:
        broken = [{"key": key, "problem": problem} for key, problem in scan.broken.items()]
        documents = [entry.document() for entry in entries]
        print_json({"model": store.model, "store": store.url, "entries": documents, "broken": broken})
        return
    rows = [[entry.document()["at"], entry.actor, entry.action, _detail(entry)] for entry in entries]
    rows += [["", "", "unreadable", f"{key}: {problem}"] for key, problem in scan.broken.items()]
    print_table(("at", "who", "did", "what"), rows, f"{store.model} in {store.url}")


def _wanted(entry: AccessEntry, options: argparse.Namespace) -> bool:
    return options.actor in (None, entry.actor) and options.action in (None, entry.action)


def _detail(entry: AccessEntry) -> str:
    return ", ".join(f"{name} {value}" for name, value in entry.detail.items() if value not in (None, ""))
