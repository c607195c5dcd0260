"""What becomes of a command that is asked to end: SIGTERM ends it as SIGINT does, tidily and with one line."""

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
from pipeline.reporting.printer import shown

# A shell's codes for a program that a signal ended.
_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


class Interrupted(KeyboardInterrupt):
    """A signal came; nothing but the end of the command catches it.

    As an interruption by a person, it says nothing about the model that was just asked: what a scorer raises otherwise
    is the model's failure, whatever its class.
    """

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number)
        self.number = number


def program(work: Callable[[], int], at_once: bool) -> NoReturn:
    """Runs `work` as a whole program and exits with its code, or with 130 or 143 and one line after SIGINT or SIGTERM.

    With `at_once` a signal ends the process where it is, after what it keeps in files and folders is removed: for work
    in a runner, which would take the signal for the failure of a step, and wait for its threads. Without, the signal
    unwinds the work as an exception does.
    """

    def end(number: int, frame: FrameType | None) -> None:
        for each in _CODES:
            signal.signal(each, signal.SIG_DFL)  # whoever asks twice does not want to wait
        if at_once:
            _end(signal.Signals(number))
        raise Interrupted(signal.Signals(number))

    for each in _CODES:
        signal.signal(each, end)
    if at_once:
        with suppress(OSError):  # the command itself says what it cannot write
            scratch.keep_all_here()
    try:
        code = with_room(work)
    except Interrupted as interrupted:
        _end(interrupted.number)
    sys.exit(code)


def _end(number: signal.Signals) -> NoReturn:
    """Ends the process without waiting for its threads; what keeps temporary files has registered with `atexit`."""
    said = shown(f"ended by {number.name}; what was not finished is not in the sinks")
    os.write(2, f"halflife: {said}\n".encode())  # `print` may be what was interrupted
    with suppress(BaseException):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):
            stream.flush()
    _leave(_CODES[number], scratch.left_behind())


def _leave(code: int, paths: Sequence[str]) -> NoReturn:
    """Becomes a program that removes these paths and exits, so that no thread which may still write there lives on."""
    words = ["sh", "-c", 'code=$1; shift; rm -rf -- "$@"; exit "$code"', "halflife", str(code), *paths]
    with suppress(OSError):  # there is no shell, or there are too many paths for one
        if paths:
            os.execv("/bin/sh", words)
    os._exit(code)
