"""`halflife models withdraw`: withdraws a version that no release names; its name stays used up."""

import argparse

from pipeline.command_line.parsing import Arguments, OneLineParser, add_actor_option, add_store_options
from pipeline.commands.models.location import find_location, refuse_absent, versions_meant
from pipeline.commands.output import exit_code, print_pairs
from pipeline.reporting.printer import note, print_json


def withdraw(arguments: Arguments) -> int:
    """`halflife models withdraw VERSION`; returns the exit code."""
    parser = OneLineParser(
        "halflife models withdraw", "Take back a version that no release names; its name may not be used again."
    )
    parser.add_argument("version", metavar="VERSION", help="the version to take back")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why")
    add_actor_option(parser)
    add_store_options(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _withdraw(options), options.verbose)


def _withdraw(options: argparse.Namespace) -> None:
    store = find_location(options).store
    if not store.has_version(options.version):
        refuse_absent(options, store)
    for sequence in store.scan_releases().broken:
        note(f"release {sequence} cannot be read, so nobody knows whether it names {options.version!r}: jobs skip it")
    with versions_meant(store, options.version):
        found = store.withdraw(options.version, options.by, options.reason)
    document = found.document()
    if options.json:
        print_json({"withdrawn": True, "model": store.model, "store": store.url, **document})
        return
    print_pairs(
        [
            ("withdrawn", f"{store.model} {found.version} from {store.url}; the name may not be used again"),
            ("digest", found.digest),
            ("at", document["at"]),
            ("by", found.by),
            ("reason", found.reason),
        ]
    )
