"""`halflife init DATA`: looks at data, decides what a job over them says, writes it, and runs it."""

import argparse
import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from models.distribution import installing
from pipeline.command_line.init_options import STATED
from pipeline.commands.output import Refused, exit_code, print_table
from pipeline.endpoints.errors import NoInput
from pipeline.endpoints.kafka import address as kafka_address
from pipeline.endpoints.uris import scheme_of
from pipeline.first_job.looking import Look, look_at
from pipeline.first_job.proposal import UNLEARNT, Proposal, propose
from pipeline.first_job.questions import NONE, JobDecisions, OpenQuestion
from pipeline.first_job.spec_text import spec_text
from pipeline.first_job.train_text import train_text
from pipeline.reporting.printer import note, out, print_json, print_line
from schemas.expectations import likely, wants
from schemas.validation import SpecError

_FILES = ("job.yaml", "train.py", "model.skops", "models", "out")
_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_MOST_ASKED = 10
_CELL = 64


def init(options: argparse.Namespace) -> int:
    """`halflife init DATA`; returns the exit code: 0 done, 1 a command failed, 2 bad usage."""
    return exit_code(lambda: _init(options), options.verbose)


def _init(options: argparse.Namespace) -> None:
    _check(options)
    look = _looked_at(options.data)
    stated = {name: getattr(options, name) for name in STATED if getattr(options, name) is not None}
    made = propose(look, JobDecisions(stated, None if options.yes else _Asking()))
    name = _name_of(options.data)
    _write("job.yaml", spec_text(made, name))
    _write("train.py", train_text(made))
    commands = _commands()
    if options.json:
        decided = [answer._asdict() for answer in made.decisions.made]
        print_json({"rows": look.table.num_rows, "whole": look.whole, "decisions": decided,
                    "commands": [shlex.join(command) for command in commands]})  # fmt: skip
    else:
        _tell(look, made, commands)
    if not options.no_run:
        for command in commands:
            _run(command, options.json)


def _looked_at(data: str) -> Look:
    try:
        return look_at(data)
    except NoInput as error:  # its message is written for people
        raise Refused(str(error)) from None


def _check(options: argparse.Namespace) -> None:
    """Raises before anything is read: what is there already is not overwritten, and somebody must decide."""
    there = [name for name in _FILES if Path(name).exists()]
    if there:
        allowed = "a folder without them; next: begin in another folder, or change and run the job that is there"
        raise SpecError("the current folder", f"{', '.join(there)} in it", allowed)
    if not options.yes and not sys.stdin.isatty():
        raise SpecError("standard input", "no terminal", "somebody who answers, or --yes to decide without")
    for module in ("sklearn", "skops"):
        if importlib.util.find_spec(module) is None:
            raise Refused(f"{module} is not installed, which train.py needs; {installing('sklearn')}")


def _name_of(data: str) -> str:
    """A job's name from that of its data.

    >>> _name_of("data/Bestellungen 2024.csv.gz"), _name_of("/in/2024-*.parquet"), _name_of("ölstände/")
    ('Bestellungen_2024', 'job_2024', 'lst_nde')
    """
    path = data.partition("?")[0] if scheme_of(data) == kafka_address.SCHEME else data
    stem = path.rstrip("/").rpartition("/")[2].partition(".")[0]
    name = _NAME.sub("_", stem).strip("_.-")[:100]
    return name if name[:1].isalpha() else f"job_{name}".rstrip("_")


def _write(name: str, text: str) -> None:
    try:
        with open(name, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Refused(f"{name} is there, and is not overwritten; next: begin in another folder") from None


def _commands() -> list[list[str]]:
    return [
        ["python", "train.py"],
        ["halflife", "models", "release", "--champion", "1", "--from", "first-event", "--job", "job.yaml"],
        ["halflife", "run", "--job", "job.yaml"],
    ]


def _tell(look: Look, made: Proposal, commands: Sequence[Sequence[str]]) -> None:
    whole = "" if look.whole else "; there are more, which were not looked at"
    files = "" if look.files == 1 else f" of {look.files:,} files" if look.files else " of the topic"
    print_line(f"{look.table.num_rows:,} records{files} with {look.table.num_columns} columns{whole}")
    if look.guessed:
        print_line(look.guessed)
    rows = [[answer.name, _few(answer.value), answer.by, answer.why] for answer in made.decisions.made]
    print_table(("what", "is", "by", "because"), rows)
    if made.label is None:
        unlearnt = [f"{answer.value} is not learnt" for answer in made.decisions.made if answer.name == UNLEARNT]
        why = unlearnt[0] if unlearnt else "there is no label"
        print_line(f"{why}: an IsolationForest scores how unlike the others an event is (lower is more so)")
    print_line("written: job.yaml, train.py. These commands run it:")
    for command in commands:
        print_line(f"  {shlex.join(command)}")


def _few(value: str) -> str:
    """A list of names as far as a table has room for it.

    >>> _few(", ".join(f"usage_{n}" for n in range(60)))
    'usage_0, usage_1, usage_2, usage_3, usage_4, usage_5, usage_6 and 53 more'
    """
    names = value.split(", ")
    fitting = [at for at in range(1, len(names) + 1) if len(", ".join(names[:at])) <= _CELL] or [1]
    more = len(names) - fitting[-1]
    return ", ".join(names[: fitting[-1]]) + (f" and {more} more" if more else "")


def _run(command: Sequence[str], quietly: bool) -> None:
    """Runs one of the commands by this Python. Raises `Refused` where it fails."""
    # Without the working directory on the path: a folder there may have the name of one of our packages.
    words = {"python": [sys.executable], "halflife": [sys.executable, "-P", "-m", "halflife"]}[command[0]]
    if not quietly:
        print_line(f"$ {shlex.join(command)}")
    out().flush()
    done = subprocess.run([*words, *command[1:]], stdout=_descriptor(sys.stderr if quietly else out()), check=False)
    if done.returncode:
        raise Refused(f"{shlex.join(command)} ended with {done.returncode}; next: run it again once that is mended")


class _Asking:
    """Asks on the terminal, a limited number of times."""

    def __init__(self) -> None:
        self._asked = 0

    def __call__(self, question: OpenQuestion) -> str:
        self._asked += 1
        if self._asked > _MOST_ASKED:
            return question.suggested
        print_line(f"{question.name}: {question.why}")
        allowed: Sequence[str] = question.allowed
        if allowed:
            print_line(f"  one of: {', '.join(allowed)}")
        while True:
            given = _answer(f"  {question.name} [{question.suggested or NONE}]: ") or question.suggested
            if not allowed or given in allowed:
                return given
            listed = ", ".join(allowed)
            note(f"{given!r} is not allowed; {wants(listed)}{likely(given, listed)}")


def _answer(prompt: str) -> str:
    try:
        return input(prompt).strip()
    except EOFError:
        raise Refused("the terminal was closed before all was answered; next: --yes decides without") from None


def _descriptor(stream: TextIO) -> int | None:
    """Where a process that is started writes to the stream; None where it is none of the system's."""
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None
