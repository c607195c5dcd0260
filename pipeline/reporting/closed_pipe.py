"""A report whose reader has gone: `halflife models list | head` ends as other programs do, without a word."""

import os
import select
import sys
from contextlib import suppress

CODE = 141  # as a shell reports a program that SIGPIPE ended


def is_closed_pipe(error: BaseException) -> bool:
    """Whether an error is only that nobody reads this process's output any more; a runner may have made it a text."""
    broken = isinstance(error, BrokenPipeError) or "BrokenPipeError" in str(error)
    return broken and bool(_unread())


def end_silently() -> int:
    """Lets nothing more be said to readers that have gone, at the end of the interpreter either; returns the code."""
    for descriptor in _unread():
        with suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    return CODE


def _unread() -> list[int]:
    """Those of the descriptors of standard output and error that are pipes which nobody reads."""
    found = []
    for descriptor in (1, 2):
        poller = select.poll()
        poller.register(descriptor, 0)  # an error is always reported
        with suppress(OSError):
            found += [number for number, events in poller.poll(0) if events & select.POLLERR]
    return found
