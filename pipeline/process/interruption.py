"""How a command ends on a signal: SIGTERM ends it as SIGINT does, with everything removed and one line printed."""

import atexit
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from models import scratch
from models.daemons import with_room
from pipeline.reporting import log_form
from pipeline.reporting.closed_pipe import end_silently, is_closed_pipe
from pipeline.reporting.json_lines import json_line
from pipeline.reporting.printer import shown

# The exit codes that shells use for a program ended by a signal.
_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


class Interrupted(KeyboardInterrupt):
    """A signal arrived; only the end of the command catches it.

    As an interruption by the user it says nothing about the model that was just called: anything else that a scorer
    raises is the model's failure, whatever its class.
    """

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number)
        self.number = number


def program(work: Callable[[], int], at_once: bool) -> NoReturn:
    """Runs `work` as a whole program and exits with its code, or with 130 or 143 and one line after SIGINT or SIGTERM.

    With `at_once` a signal ends the process immediately, after its temporary files and folders are removed: for work in
    a runner, which would treat the signal as the failure of a step, and wait for its threads. Otherwise the signal
    unwinds the work as an exception does.
    """

    def end(number: int, frame: FrameType | None) -> None:
        for each in _CODES:
            signal.signal(each, signal.SIG_DFL)  # a second signal: do not wait
        if at_once:
            _end(signal.Signals(number))
        raise Interrupted(signal.Signals(number))

    for each in _CODES:
        signal.signal(each, end)
    if at_once:
        with suppress(OSError):  # the command itself says what it cannot write
            scratch.keep_all_here()
    try:
        code = _code_of(work)
    except Interrupted as interrupted:
        _end(interrupted.number)
    sys.exit(code)


def _code_of(work: Callable[[], int]) -> int | str | None:
    """The exit code of the work, whose output is written by then as far as somebody reads it."""
    try:
        try:
            return with_room(work)
        except SystemExit as left:  # argparse's, after --help and bad usage
            return left.code
        finally:
            sys.stdout.flush()
    except Exception as error:
        if is_closed_pipe(error):
            return end_silently()
        raise


def _end(number: signal.Signals) -> NoReturn:
    """Ends the process without waiting for its threads; owners of temporary files are registered with `atexit`."""
    said = shown(f"ended by {number.name}; what was not finished is not in the sinks")
    line = json_line("error", said) if log_form.as_json() else f"halflife: {said}"
    os.write(2, f"{line}\n".encode())  # the signal may have interrupted `print` itself
    with suppress(BaseException):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):
            stream.flush()
    with suppress(BaseException):
        log_form.leave()
    _leave(_CODES[number], scratch.left_behind())


def _leave(code: int, paths: Sequence[str]) -> NoReturn:
    """Replaces this process by a program that removes these paths and exits, so that no thread is left that may still
    write there."""
    words = ["sh", "-c", 'code=$1; shift; rm -rf -- "$@"; exit "$code"', "halflife", str(code), *paths]
    with suppress(OSError):  # there is no shell, or there are too many paths for one
        if paths:
            os.execv("/bin/sh", words)
    os._exit(code)
