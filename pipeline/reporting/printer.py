"""The one printer: all messages to people pass here, so that no secret is shown and no name controls a terminal."""

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from contextvars import ContextVar
from functools import cache
from typing import Any, TextIO

from models.redaction import hide_secrets, value_hider
from pipeline.reporting import log_form
from pipeline.reporting.json_lines import OTHERS, is_json_line, json_line
from schemas.expectations import likely, wants, with_hint
from schemas.problems import SpecErrors
from schemas.validation import SpecError

_CHOICE = re.compile(r"invalid choice: (?P<value>.*?) \(choose from (?P<listed>.*)\)$")
_VALUE = re.compile(r"(?P<value>'[^']*') is not allowed; (?P<wanted>.*)$")
_ours: TextIO | None = None


def out() -> TextIO:
    """Standard output as it was when the work began, for this project's own reports and records."""
    return _ours or sys.stdout


@contextmanager
def only_our_output(native: bool = True) -> Iterator[None]:
    """In the block only what is printed to `out()` is on standard output.

    A program that reads a report as JSON, or scores line by line, must find nothing else there: what models and
    libraries print goes to standard error. `native`: also what native code and processes started within print.
    """
    global _ours
    if _ours is not None:
        yield
        return
    kept = _kept_descriptor() if native else None
    _ours = sys.stdout if kept is None else os.fdopen(os.dup(kept), "w", encoding="utf-8", errors=sys.stdout.errors)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        ended, _ours = _ours, None
        try:
            ended.flush()
        finally:  # its reader may have gone
            if kept is not None:
                with suppress(OSError):
                    ended.close()
                os.dup2(kept, 1)
                os.close(kept)


def _kept_descriptor() -> int | None:
    """A copy of the process's standard output, which is redirected to standard error from now on; None where a test
    captures it."""
    try:
        if sys.stdout.fileno() != 1 or sys.stderr.fileno() != 2:
            return None
    except (OSError, ValueError, AttributeError):
        return None
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    return kept


def shown(text: object) -> str:
    """The text on one line, without secrets and without control characters, the way it may be printed.

    Text from others (names in a store, a library's message) may hold terminal sequences, and characters that change the
    direction of writing: each such character is replaced.
    """
    return _without_controls(" ".join(hide_secrets(str(text)).split()))


def printable(text: str) -> str:
    """As `shown`, but white space other than line ends and tabs stays as it is: for cells of a table."""
    return _without_controls(hide_secrets(text))


def usage_error(message: str) -> str:
    """argparse's message about an argument, through the one printer (it may be a secret) and in the form of all
    messages.

    >>> usage_error("the following arguments are required: --champion")
    '--champion: missing; expected: a value'
    """
    found = _CHOICE.search(message)
    if found is not None:
        listed = found["listed"].replace("'", "")
        message = f"{message[: found.start()]}{found['value']} is not allowed; {wants(listed)}"
    if (found := _VALUE.search(message)) is not None:
        message = with_hint(message, likely(found["value"].strip("'"), found["wanted"].partition(": ")[2]))
    for form, words in _ARGPARSE.items():
        message = re.sub(form, words, message)
    return shown(message)


_ARGPARSE = {
    r"^argument (?=\S+: )": "",
    r"^the following arguments are required: (.*)$": r"\1: missing; expected: a value",
    r"^unrecognized arguments: (.*)$": r"\1: not known; expected: an option of this command",
    r"(?<=: )expected one argument$": "missing; expected: a value",
}


def complain(message: str, code: int) -> int:
    """One line on standard error, unless there is nothing to say; returns the exit code."""
    if message:
        note(message, "error")
    return code


def complain_of(error: SpecError) -> int:
    """A line for each thing that is wrong with a spec; returns the exit code of bad usage."""
    for line in error.lines if isinstance(error, SpecErrors) else [str(error)]:
        note(line, "error")
    return 2


_before: Callable[[], None] | None = None


@contextmanager
def on_message(erase: Callable[[], None] | None) -> Iterator[None]:
    """In the block `erase` is called before a remark is printed: it takes away a line that is written again."""
    global _before
    before, _before = _before, erase
    try:
        yield
    finally:
        _before = before


_noted: ContextVar[Callable[[str], object] | None] = ContextVar("noted", default=None)


def note(text: str, level: str = "info") -> None:
    """A remark on standard error, so that what is on standard output stays a table or JSON; `level`: in a log."""
    if (take := _noted.get()) is not None:
        take(shown(text))
        return
    if _before is not None:
        _before()
    if log_form.as_json():
        log_document("warning" if text.startswith("warning: ") else level, text)
        return
    print(f"halflife: {shown(text)}", file=sys.stderr)


def log_document(level: str, text: str, **fields: Any) -> None:
    """A line of the log as a JSON object."""
    print(json_line(level, shown(text), **fields), file=sys.stderr, flush=True)


def as_json_line(line: str) -> str:
    """A line that something else wrote to standard error, as a JSON object."""
    return line if is_json_line(line) else json_line("info", shown(line), OTHERS)


@contextmanager
def notes_to(take: Callable[[str], object]) -> Iterator[None]:
    """In the block remarks are given to `take`, and nothing is said to people on a terminal."""
    token = _noted.set(take)
    try:
        yield
    finally:
        _noted.reset(token)


def has_people() -> bool:
    """Whether standard error is a terminal that remarks go to."""
    return _noted.get() is None and sys.stderr.isatty()


def ask(question: str) -> str:
    """What the user of a terminal types after a question; empty where nothing more can be typed."""
    print(f"{shown(question)} ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def print_traceback(error: BaseException) -> None:
    """Prints the whole traceback on standard error, for `--verbose`."""
    for line in "".join(traceback.format_exception(error)).splitlines():
        print_line(line, sys.stderr)


class Redacting(logging.Formatter):
    """Log lines of libraries, without what must not be shown."""

    def format(self, record: logging.LogRecord) -> str:
        """As `logging.Formatter.format`, with its lines kept."""
        return "\n".join(printable(line) for line in super().format(record).splitlines())


class _AsJson(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json_line(record.levelname.lower(), hide_secrets(super().format(record)), record.name)


def log_to_stderr(verbose: bool) -> None:
    """Logs of libraries are shown with `verbose` and kept quiet otherwise, those of native code too."""
    log_form.be_verbose(verbose)
    level = logging.INFO if verbose else logging.CRITICAL
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if verbose else "3")
    handler = logging.StreamHandler()
    handler.setFormatter(_AsJson() if log_form.as_json() else Redacting(logging.BASIC_FORMAT))
    logging.basicConfig(level=level, handlers=[handler], force=log_form.as_json())
    logging.getLogger().setLevel(level)
    logging.captureWarnings(log_form.as_json())
    logging.getLogger("py.warnings").setLevel(logging.WARNING)  # they are shown as text too


def print_line(text: str, stream: TextIO | None = None) -> None:
    """One line of a report, on standard output unless another stream is given. Its leading spaces stay."""
    indent = " " * (len(text) - len(text.lstrip(" ")))
    print(indent + printable(text.strip(" ")), file=stream or out(), flush=True)


def print_json(document: Mapping[str, Any], stream: TextIO | None = None) -> None:
    """One JSON document on one line, without the values of secret variables and without passwords in URLs.

    Characters that control a terminal or change the direction of writing are escaped; all others are unchanged.
    """
    hide = cache(value_hider())  # a long report has few names, again and again
    text = json.dumps(_redacted(document, hide), ensure_ascii=False)
    print("".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text), file=stream or out())


def _without_controls(text: str) -> str:
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _redacted(value: Any, hide: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, Mapping):
        return {hide(str(key)): _redacted(item, hide) for key, item in value.items()}
    return [_redacted(item, hide) for item in value] if isinstance(value, list | tuple) else value
