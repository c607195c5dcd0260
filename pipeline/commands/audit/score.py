"""`halflife audit score ID`: one decision as a page; without ID a list of scores."""

import argparse
from pathlib import Path

from audit.asking.decision.html_page import html_page
from audit.asking.decision.score import ScorePage, find_score, score_page
from audit.asking.decision.sections import sections
from pipeline.command_line.parsing import Arguments, OneLineParser, moment, positive
from pipeline.commands.audit.location import add_audit_options, asked
from pipeline.commands.audit.scores import list_scores
from pipeline.commands.audit.showing import print_page
from pipeline.commands.output import exit_code
from pipeline.reporting.printer import note
from schemas.times import format_time_us, now_us
from schemas.validation import SpecError

_FILTERS = ("first_us", "last_us", "decision", "version", "limit")


def score(arguments: Arguments) -> int:
    """`halflife audit score [ID]`; returns the exit code."""
    parser = OneLineParser("halflife audit score", "Show one decision and all that led to it, or list scores.")
    parser.add_argument("score_id", nargs="?", metavar="ID", help="the score's id; without it, scores are listed")
    parser.add_argument("--html", metavar="FILE", help="write the page as HTML too, for printing")
    parser.add_argument("--no_verify", action="store_true", help="do not load the version and score again")
    parser.add_argument("--allow_pickle", action="store_true", help="open pickles, which can run any code")
    parser.add_argument("--from", type=moment, metavar="TIME", dest="first_us", help="list: events from this time on")
    parser.add_argument("--to", type=moment, metavar="TIME", dest="last_us", help="list: events before this time")
    parser.add_argument("--decision", metavar="TEXT", help="list: only this decision")
    parser.add_argument("--version", metavar="VERSION", help="list: only scores of this version")
    parser.add_argument("--limit", type=positive, metavar="N", help="list: at most so many (default: 100)")
    add_audit_options(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _list(options) if options.score_id is None else _score(options), options.verbose)


def _list(options: argparse.Namespace) -> None:
    if options.html:
        raise SpecError("--html", options.html, "it with the ID of one score")
    with asked(options) as sources:
        list_scores(sources, options)


def _score(options: argparse.Namespace) -> None:
    for name in _FILTERS:
        if getattr(options, name) is not None:
            option = {"first_us": "--from", "last_us": "--to"}.get(name, f"--{name}")
            raise SpecError(option, getattr(options, name), "it without the ID of a score")
    with asked(options) as sources:
        answer = find_score(sources, options.score_id)
        page = score_page(sources, answer, verify=not options.no_verify)
        if options.html:
            _write(Path(options.html), page, sources.actor)
        print_page(page, sections, options.json)


def _write(path: Path, page: ScorePage, actor: str) -> None:
    one = page.receipt
    title = f"{one['decision'] or 'Score'}: {one['model']} on event {one['event_id']}"
    footer = f"Made by halflife audit for {actor} at {format_time_us(now_us())}. Times are the operator's clock, UTC."
    path.write_text(html_page(title, sections(page), footer), encoding="utf-8")
    note(f"the page is in {path}")
