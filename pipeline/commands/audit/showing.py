"""Titled tables on a terminal."""

from collections.abc import Iterable

from audit.asking.decision.sections import Section
from pipeline.commands.output import print_pairs, print_table
from pipeline.reporting.printer import print_line


def print_sections(parts: Iterable[Section]) -> None:
    """Each part with its title, an empty line between them."""
    for index, part in enumerate(parts):
        if index:
            print_line("")
        print_line(part.title)
        if part.columns:
            print_table(part.columns, part.rows)
        else:
            print_pairs([(name, value) for name, value in part.rows])
