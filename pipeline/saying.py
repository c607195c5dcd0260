"""What a run says to people, and what becomes of its errors."""

import sys
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from models.redaction import hide_secrets
from pipeline.printer import (
    complain,
    complain_of,
    log_to_stderr,
    note,
    only_our_output,
    print_line,
    print_traceback,
    shown,
)
from schemas.job import Job
from schemas.validation import SpecError

_UNCONNECTED = ("labels", "explain")
_UNCONNECTED_SINKS = ("quality",)


def guarded(
    work: Callable[[], None], verbose: bool, expected: tuple[type[Exception], ...], as_json: bool = False
) -> int:
    """Runs `work`; its errors become one line on standard error and an exit code, with `verbose` a traceback.

    `expected`: errors whose own words are made for people.
    """
    log_to_stderr(verbose)
    try:
        with only_our_output(native=as_json):  # else worker processes may have records to print
            work()
    except SpecError as error:
        return complain_of(error)
    except expected as error:
        return complain(str(error), 1)
    except Exception as error:  # whatever else a runner raises: one line for people, all of it with --verbose
        if verbose:
            print_traceback(error)
        return complain(last_line(error), 1)
    return 0


def last_line(error: BaseException) -> str:
    """The line of a runner's error that says what happened; runners wrap whole tracebacks into messages."""
    lines = [line.strip() for line in hide_secrets(str(error)).splitlines() if line.strip()]
    says = [line for line in lines if not line.startswith(("File ", "Traceback", "During handling", "^"))]
    return (says[-1] if says else type(error).__name__)[:500]


def on_one_line(error: BaseException, most: int = 300) -> str:
    """What an error of a library says, its lines joined, in at most so many characters; empty if it says nothing."""
    return shown(error)[:most]


def say(text: str) -> None:
    """A remark on standard error, for people only: none in a pipe."""
    if sys.stderr.isatty():
        print_line(text, sys.stderr)


def say_unconnected(document: Mapping[str, Any]) -> None:
    """Says, in a pipe too, what the spec asks for and this version does not do: silence would mislead."""
    places = [section for section in _UNCONNECTED if section in document]
    places += [f"sinks.{name}" for name in _UNCONNECTED_SINKS if name in document.get("sinks", {})]
    for place in places:
        note(f"note: {place} is in the spec, but this version does not act on it")


def say_where(job: Job, stream: TextIO) -> None:
    """Where the records of a run are."""
    for name in ("scores", "audit", "drift", "dead_letters"):
        uri = getattr(job.sinks, name)
        if uri is not None:
            print_line(f"  {name.replace('_', ' '):<12}  {uri}", stream)
