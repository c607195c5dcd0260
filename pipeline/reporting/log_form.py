"""How standard error is written: text for people, or one JSON object a line for a collector of logs."""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

_OPTIONS = ("--log_format", "--log-format")
_state: dict[str, Any] = {"json": False, "verbose": False, "about": {}}
_ended: list[Callable[[], None]] = []


def wanted() -> bool:
    """Whether somebody reads logs of a run that goes well."""
    return bool(_state["json"] or _state["verbose"])


def as_json() -> bool:
    """Whether each line of standard error is a JSON object."""
    return bool(_state["json"])


def be_verbose(verbose: bool) -> None:
    """Whether logs are wanted although they are text."""
    _state["verbose"] = verbose


def tell_of(**about: str) -> None:
    """Fields of each JSON line from now on: `job`, `run`."""
    _state["about"] |= about


def about() -> dict[str, str]:
    """The fields that were told of."""
    return dict(_state["about"])


def asks_for_json(arguments: Sequence[str]) -> bool:
    """Whether a command line has `--log_format json`; read before any parser does, since its errors are lines too.

    >>> asks_for_json(["run", "--log-format", "json"]), asks_for_json(["run", "--log_format=text"])
    (True, False)
    """
    found = "text"
    for word, following in zip(arguments, [*arguments[1:], ""], strict=False):
        name, separator, value = word.partition("=")
        if name in _OPTIONS:
            found = value if separator else following
    return found == "json"


@contextmanager
def logged(arguments: Sequence[str], wrap: Callable[[str], str]) -> Iterator[None]:
    """In the block standard error is as the command line wants it; `wrap` makes a JSON object of a line that is
    none."""
    if _state["json"] or not asks_for_json(arguments):
        yield
        return
    _state.update(json=True, about={})
    end = _wrapped(wrap)
    _ended.append(end)
    try:
        yield
    finally:
        leave()
        _state.update(json=False, verbose=False, about={})


def leave() -> None:
    """Writes what native code and other processes have said, and gives standard error back."""
    while _ended:
        _ended.pop()()


def _wrapped(wrap: Callable[[str], str]) -> Callable[[], None]:
    """Puts a pipe before the descriptor of standard error, whose lines are wrapped; returns what takes it away."""
    try:
        if sys.stderr.fileno() != 2:
            return lambda: None
    except (OSError, ValueError, AttributeError):
        return lambda: None  # a test captures it
    sys.stderr.flush()
    kept, (reading, writing) = os.dup(2), os.pipe()
    os.dup2(writing, 2)
    os.close(writing)

    def copy() -> None:
        with os.fdopen(reading, "r", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                text = line.rstrip("\n")
                if text.strip():
                    with suppress(OSError):
                        os.write(kept, (wrap(text) + "\n").encode())

    thread = threading.Thread(target=copy, name="json-lines", daemon=True)
    thread.start()

    def end() -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        os.dup2(kept, 2)
        thread.join(2.0)  # a process that was started and still runs may hold the pipe

    return end
