"""`halflife audit record ID`: the versions that were trained on a record, and what they answered to it."""

import argparse

from audit.asking.answers import OneScore
from audit.asking.decision.sections import Section
from audit.asking.record import RecordPage, record_page
from pipeline.command_line.parsing import Arguments, OneLineParser
from pipeline.commands.audit.given import add_given_option, given_section
from pipeline.commands.audit.location import add_audit_options, asked, model_of
from pipeline.commands.audit.scores import COLUMNS, row_of
from pipeline.commands.audit.showing import print_page
from pipeline.commands.output import exit_code


def record(arguments: Arguments) -> int:
    """`halflife audit record ID`; returns the exit code."""
    parser = OneLineParser(
        "halflife audit record", "Show which versions were trained on a record, and their scores of it."
    )
    parser.add_argument("record", metavar="ID", help="the id of the event that the record is")
    add_given_option(parser)
    add_audit_options(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _record(options), options.verbose)


def _record(options: argparse.Namespace) -> None:
    with asked(options) as sources:
        page = record_page(sources, model_of(options, sources), options.record, options.scores)
        print_page(page, _sections, options.json)


def _sections(page: RecordPage) -> list[Section]:
    trained = [(each.version, each.digest, each.records, each.file) for each in page.training.versions]
    parts = [
        Section(f"Trained on {page.record}", ("version", "digest", "records", "in"), trained or [("none", "", 0, "")]),
        Section("What these versions answered to it", COLUMNS, _rows(page.scores)),
        Section("What other versions answered to it", COLUMNS, _rows(page.others)),
        given_section([] if page.given is None else [(page.model, page.given)]),
        Section("Not known", (), list(page.training.unknown.items())),
    ]
    return [part for part in parts if part.rows]


def _rows(scores: tuple[OneScore, ...]) -> list[tuple[object, ...]]:
    return [tuple(row_of(each.shown)) for each in scores]
