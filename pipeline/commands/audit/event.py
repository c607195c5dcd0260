"""`halflife audit event ID`: all scores of one event, whichever versions gave them."""

import argparse
from typing import Any

from audit.asking.answers import OneScore, document
from audit.asking.event import event_answers
from pipeline.command_line.parsing import Arguments, OneLineParser
from pipeline.commands.audit.location import add_audit_options, asked
from pipeline.commands.audit.scores import COLUMNS, row_of
from pipeline.commands.output import exit_code, print_table
from pipeline.reporting.printer import print_json


def event(arguments: Arguments) -> int:
    """`halflife audit event ID`; returns the exit code."""
    parser = OneLineParser("halflife audit event", "Show all scores of one event.")
    parser.add_argument("event_id", metavar="ID", help="the event's id")
    add_audit_options(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _event(options), options.verbose)


def _event(options: argparse.Namespace) -> None:
    with asked(options) as sources:
        found = event_answers(sources, options.event_id)
        if options.json:
            print_json({"event_id": options.event_id, "scores": [_document(each) for each in found]})
            return
        rows = [[*row_of(each.shown), _lateness(each), len(each.receipts)] for each in found]
        print_table((*COLUMNS, "", "receipts"), rows, f"event {options.event_id}")


def _document(answer: OneScore) -> dict[str, Any]:
    counted = {"receipts": len(answer.receipts), "contradicts": list(answer.contradicts)}
    return document(answer.shown) | counted


def _lateness(answer: OneScore) -> str:
    return "late" if answer.shown.receipt["late"] else ""
