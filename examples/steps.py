"""The steps of a demo: what is being done and for how long, and commands in processes of their own."""

import io
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from rich.console import Console

# How the line of a step that says what went wrong begins; libraries may print more before and after it.
_SAYS_WHY = ("error: ", "halflife: ")
PIPE_WIDTH = 120


class StepFailed(RuntimeError):
    """A step of the demo ended with an error; the message ends with what it said."""


@contextmanager
def step(console: Console, what: str) -> Iterator[None]:
    """Prints what is being done, with a spinner on a terminal, and how long it took."""
    started = time.monotonic()
    with console.status(what) if console.is_terminal else console.status("", spinner_style=""):
        yield
    console.print(f"  {what}: {time.monotonic() - started:.0f} s", highlight=False)


def call(module: str, *arguments: str) -> str:
    """Runs a module of the project in a process of its own and returns what it printed; its remarks are passed on.

    Raises:
        StepFailed: it ended with an error.
    """
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = reason(done.stderr)
        raise StepFailed(f"python -m {shlex.join([module, *arguments])} ended with {done.returncode}: {said}")
    for remark in (line for line in done.stderr.splitlines() if line.startswith(_SAYS_WHY)):
        print(remark, file=sys.stderr)
    return done.stdout


def command(*arguments: str) -> str:
    """Runs a verb of `halflife` in this process, and returns what it printed; its remarks go where they always go.

    Raises:
        StepFailed: it ended with an error, which it has said on standard error.
    """
    from pipeline.verbs import main

    printed = io.StringIO()
    with redirect_stdout(printed):
        code = main(list(arguments))
    if code:
        raise StepFailed(f"halflife {shlex.join(arguments)} ended with {code}")
    return printed.getvalue()


def reason(stderr: str) -> str:
    """The one line of a failed step's standard error that says why it failed."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()] or ["it said nothing"]
    said = next((line for line in reversed(lines) if line.startswith(_SAYS_WHY)), lines[-1])
    return said.split(": ", 1)[1] if said.startswith(_SAYS_WHY) else said


def console_of() -> Console:
    """Standard output: as wide as the terminal, or `PIPE_WIDTH` in a pipe."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
