"""Titled tables on a terminal."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from audit.asking.decision.sections import Section
from pipeline.commands.output import print_pairs, print_table
from pipeline.reporting.printer import print_json, print_line


class Page(Protocol):
    """An answer of the audit that is a document, too."""

    def document(self) -> Mapping[str, Any]: ...


AnyPage = TypeVar("AnyPage", bound=Page)


def print_page(page: AnyPage, sections: Callable[[AnyPage], Iterable[Section]], as_json: bool) -> None:
    """The page as a document, or as its sections."""
    if as_json:
        print_json(page.document())
    else:
        print_sections(sections(page))


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
