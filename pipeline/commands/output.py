"""What a verb prints: a table for people, JSON for machines; and how its errors are reported."""

import io
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from models.errors import BundleRefused, StoreError, one_line
from models.store.backends import InvalidStoreUrl
from pipeline.reporting.closed_pipe import is_closed_pipe
from pipeline.reporting.printer import (
    complain,
    complain_of,
    log_to_stderr,
    only_our_output,
    out,
    print_json,
    print_line,
    print_traceback,
    printable,
)
from schemas.errors import HalflifeError
from schemas.validation import SpecError

# In a pipe nothing is folded: its reader expects one line for each row.
_WIDE = 10_000
# Words that say a state, on a terminal that shows colours and a user who has not set NO_COLOR: rich obeys both.
_COLOURS = {
    **dict.fromkeys(("champion", "in force", "ok"), "green"),
    **dict.fromkeys(("challenger", "shadow", "not checked"), "cyan"),
    **{"warn": "yellow", "fail": "red"},
}


class Refused(HalflifeError):
    """The verb did its work, and the answer is no; `str()` is one line, empty if everything is printed already.

    `said`: the same as the document that `--json` prints; `reason` and `detail` are those in it.
    """

    def __init__(self, text: str = "", said: Mapping[str, Any] | None = None) -> None:
        super().__init__(text, said)
        self.said = dict(said or {})
        self.reason, self.detail = (str(self.said.get(key, "")) for key in ("reason", "detail"))

    def __str__(self) -> str:
        return str(self.args[0])


@contextmanager
def refusal_as_json(wanted: bool) -> Iterator[None]:
    """Prints a refusal's document where JSON is wanted."""
    try:
        yield
    except Refused as refusal:
        if not wanted or not refusal.said:
            raise
        print_json(refusal.said)
        raise Refused from None


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> None:
    """A table of rows; null is shown as nothing. In a pipe it is as wide as it needs to be."""
    if title:  # apart: as the table's own it would be folded to the width of its columns
        _print(Text(printable(title), style="italic"))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(_cell(name), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    _print(table)


def print_state(state: str, width: int, text: str) -> None:
    """A line that begins with a word for a state, which is padded to `width` characters."""
    if out().isatty():
        Console(file=out(), highlight=False).print(
            Text.assemble(_cell(state), " " * (width - len(state) + 2), printable(text)), soft_wrap=True
        )
    else:
        print_line(f"{state:<{width}}  {text}")


def print_pairs(pairs: Sequence[tuple[str, object]]) -> None:
    """Names and values, one a line; pairs without a value are left out."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        if value is not None and value != "":
            table.add_row(_cell(name), _cell(value))
    _print(table)


def exit_code(work: Callable[[], None], verbose: bool) -> int:
    """Does the work; its errors become one line on standard error: 1 failed or refused, 2 bad usage."""
    _quieten(verbose)
    try:
        with only_our_output():
            work()
    except Refused as refusal:
        return complain(str(refusal), 1)
    except (StoreError, BundleRefused) as error:
        return complain(_with_reason(error), 2 if isinstance(error, InvalidStoreUrl) else 1)
    except SpecError as error:
        return complain_of(error)
    except Exception as error:
        if is_closed_pipe(error):
            raise
        if isinstance(error, OSError):
            return complain(one_line(error), 1)
        if verbose:
            print_traceback(error)
        return complain(f"{one_line(error)}; --verbose shows where", 1)
    return 0


def _with_reason(error: Exception) -> str:
    return f"{error.reason}: {error}" if isinstance(error, BundleRefused) else str(error)


def _quieten(verbose: bool) -> None:
    """Libraries that read models log and warn at length; people asked for one table."""
    log_to_stderr(verbose)
    if not verbose:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        warnings.simplefilter("ignore")


def _cell(value: object) -> Text:
    """A cell that rich prints literally: `[red]` and `:skull:` in a name are not markup."""
    text = "" if value is None else printable(str(value))
    return Text(text, _COLOURS.get(text, ""))


def _print(shown: Table | Text) -> None:
    if out().isatty():
        Console(file=out()).print(shown, soft_wrap=isinstance(shown, Text))
        return
    console = Console(width=_WIDE, file=io.StringIO())
    with console.capture() as captured:
        console.print(shown)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()), file=out())
