"""What a run prints for people, and how its errors are reported."""

import sys
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from models.errors import one_line
from pipeline.reporting.closed_pipe import is_closed_pipe
from pipeline.reporting.printer import (
    complain,
    complain_of,
    has_people,
    log_to_stderr,
    note,
    only_our_output,
    print_line,
    print_traceback,
)
from pipeline.spec.sinks import uris_of
from schemas.job import Job
from schemas.validation import SpecError


def guarded(
    work: Callable[[], None], verbose: bool, expected: tuple[type[Exception], ...], as_json: bool = False
) -> int:
    """Runs `work`; its errors become one line on standard error and an exit code, with `verbose` a traceback.

    `expected`: errors whose own messages are written for people. That nobody reads the output any more is raised: it
    ends the program without a line.
    """
    log_to_stderr(verbose)
    try:
        with only_our_output(native=as_json):  # otherwise worker processes may have records to print
            work()
    except SpecError as error:
        return complain_of(error)
    except Exception as error:
        if is_closed_pipe(error):
            raise
        return _complain_of(error, verbose, expected)
    return 0


def _complain_of(error: Exception, verbose: bool, expected: tuple[type[Exception], ...]) -> int:
    if isinstance(error, expected):
        return complain(one_line(error), 1)  # Beam adds the step, and to some a traceback
    if verbose:  # whatever else a runner raises: one line for people, the traceback with --verbose
        print_traceback(error)
    return complain(f"{one_line(error)}; --verbose shows where", 1)


def say(text: str) -> None:
    """A note on standard error, for people only: not in a pipe."""
    if has_people():
        print_line(text, sys.stderr)


def say_unconnected(document: Mapping[str, Any]) -> None:
    """Prints, in a pipe too, what is not measured where the spec has one half of what quality needs."""
    has_labels, has_sink = bool(document.get("labels")), "quality" in document.get("sinks", {})
    if has_labels and not has_sink:
        note("note: labels is in the spec, but sinks.quality is not: this run measures no quality")
    elif has_sink and not has_labels:
        why = "this run measures no quality, only how versions that score the same events differ"
        note(f"note: sinks.quality is in the spec, but labels is not: {why}")
    if "fairness" in document and not has_sink:
        note("note: fairness is in the spec, but sinks.quality is not: this run compares no groups")
    elif "fairness" in document and not has_labels:
        note("note: labels is not in the spec: of groups this run compares how many are selected, and no more")


def beginning_of(job: Job) -> str:
    """What a stream says of windows of all of the time before; empty where the job has none."""
    names = [feature.name for feature in job.features.windowed if feature.size_us is None]
    if not names:
        return ""
    begin = f"the windows of {', '.join(names)} begin" if len(names) > 1 else f"the window of {names[0]} begins"
    return f"{begin} with the first event that this stream reads: what was before it is not counted"


def say_where(job: Job, stream: TextIO) -> None:
    """Prints where the records of a run are."""
    for name in ("scores", "audit", "drift", "quality", "dead_letters"):
        for uri in uris_of(getattr(job.sinks, name)):
            print_line(f"  {name.replace('_', ' '):<12}  {uri}", stream)
