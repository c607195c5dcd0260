"""What a verb prints: a table for people, JSON for machines; and what becomes of its errors."""

import io
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from models.errors import BundleRefused, StoreError
from models.redaction import hide_secrets
from schemas.validation import SpecError

# In a pipe nothing is folded: what reads it counts on one line for a row.
_WIDE = 10_000


class Refused(Exception):
    """The verb did what it was asked, and the answer is no; `str()` is one line, empty if all is printed already."""


def print_json(document: Mapping[str, Any]) -> None:
    """One JSON document on one line of standard output."""
    print(json.dumps(document, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> None:
    """A table of rows; null is shown as nothing. In a pipe it is as wide as it needs to be."""
    shown = escape(printable(title)) or None
    table = Table(title=shown, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else escape(printable(str(value))) for value in row))
    _print(table)


def print_pairs(pairs: Sequence[tuple[str, object]]) -> None:
    """Names and values, one a line; pairs without a value are left out."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        if value is not None and value != "":
            table.add_row(name, escape(printable(str(value))))
    _print(table)


def printable(text: str) -> str:
    """The text without control characters: what others wrote into the store must not steer a terminal."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def exit_code(work: Callable[[], None], verbose: bool) -> int:
    """Does the work; its errors become one line on standard error: 1 failed or refused, 2 bad usage."""
    _quieten(verbose)
    try:
        work()
    except Refused as refusal:
        return _failed(str(refusal), 1)
    except (StoreError, BundleRefused) as error:
        return _failed(_with_reason(error), 1)
    except SpecError as error:
        return _failed(str(error), 2)
    except OSError as error:
        return _failed(str(error), 1)
    except Exception as error:
        if verbose:
            raise
        return _failed(f"{type(error).__name__}: {error}; --verbose shows where", 1)
    return 0


def _with_reason(error: Exception) -> str:
    return f"{error.reason}: {error}" if isinstance(error, BundleRefused) else str(error)


def _quieten(verbose: bool) -> None:
    """Libraries that read models log and warn at length; people asked for one table."""
    logging.basicConfig(level=logging.INFO if verbose else logging.CRITICAL)
    logging.getLogger().setLevel(logging.INFO if verbose else logging.CRITICAL)
    if not verbose:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        warnings.simplefilter("ignore")


def _failed(message: str, code: int) -> int:
    if message:
        print(f"halflife: {printable(hide_secrets(' '.join(message.split())))}", file=sys.stderr)
    return code


def _print(table: Table) -> None:
    if sys.stdout.isatty():
        Console().print(table)
        return
    console = Console(width=_WIDE, file=io.StringIO())
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))
