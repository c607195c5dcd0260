"""`halflife convert`: a pickled model becomes a file that runs no code when it is opened."""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from models.admission.libraries import differences
from models.bundles.artefacts import read_versions
from models.errors import one_line
from models.outages import temporary_folder
from models.publishing import converting
from pipeline.command_line.parsing import Arguments, OneLineParser, add_output_options
from pipeline.commands.output import Refused, exit_code
from pipeline.reporting.printer import ask, has_people, note, out, print_json, print_line
from schemas.validation import MISSING, Absent, SpecError

_DANGER = "is a pickle: opening it runs whatever code is in it, as you, on this machine"
# Its file, and without the folder that the command is given in: there a module may have the name of one of ours.
_PROGRAM = ("-P", converting.__file__)


def convert(arguments: Arguments) -> int:
    """`halflife convert PICKLE`; returns the exit code: 0 written, 1 it cannot be, or the answer was no."""
    parser = OneLineParser(
        "halflife convert",
        "Write a pickled model of scikit-learn as .skops, which runs no code when it is opened. The pickle is opened "
        "once, in a process of its own, if you agree.",
    )
    parser.add_argument("pickle", type=Path, metavar="PICKLE", help="a .joblib, .pkl or .pickle file")
    parser.add_argument("--out", type=Path, metavar="FILE", help="what to write (default: beside it, as .skops)")
    parser.add_argument("--yes", action="store_true", help="open it: you know who made the pickle")
    add_output_options(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _convert(options), options.verbose)


def _convert(options: argparse.Namespace) -> None:
    pickle, written = options.pickle, options.out or options.pickle.with_suffix(".skops")
    if not pickle.is_file():
        raise SpecError("PICKLE", str(pickle), "a .joblib, .pkl or .pickle file that is there")
    if written.exists():
        raise SpecError("--out", Absent(f"{str(written)!r} exists"), "the path of a new file")
    others = "; ".join(str(each) for each in differences(read_versions("sklearn", [pickle])))
    if others:
        _refuse(pickle, others)
    _agree(options)
    with temporary_folder("convert") as folder:
        _open(pickle, folder / "model.skops")
        partial = written.with_name(f".{written.name}.partial")
        shutil.copyfile(folder / "model.skops", partial)
        os.replace(partial, written)
    _tell(options, written)


def _agree(options: argparse.Namespace) -> None:
    """Asks on a terminal whether the pickle may be opened. Raises `SpecError` where nobody can be asked."""
    if options.yes:
        return
    if options.json or not (has_people() and sys.stdin.isatty()):
        raise SpecError("--yes", MISSING, f"it, since {options.pickle} {_DANGER}")
    if ask(f"{options.pickle} {_DANGER}. Open it? [y/N]").lower() not in ("y", "yes"):
        raise Refused(f"{options.pickle} was not opened; expected: y, or --yes")


def _open(pickle: Path, converted: Path) -> None:
    """Converts in another process, whose output is the pickle's own and goes to standard error.

    Raises:
        Refused: it failed there.
    """
    command = [sys.executable, *_PROGRAM, str(pickle.absolute()), str(converted)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    *said, last = done.stdout.decode(errors="replace").splitlines() or [""]
    reason = _reason(last) if done.returncode else ""
    for line in said if reason else [*said, last]:
        if line.strip():
            note(line)
    if done.returncode or not converted.is_file():
        _refuse(pickle, reason or f"the process that opened it ended with code {done.returncode}")


def _reason(said: str) -> str:
    """The text of an error of the process that opens pickles, in one line; empty where it died without one."""
    try:
        text = json.loads(said)
    except ValueError:
        return ""
    return one_line(ValueError(text)) if isinstance(text, str) and text else "it says nothing of why"


def _refuse(pickle: Path, why: str) -> NoReturn:
    wanted = "an estimator of scikit-learn, in an environment with the versions that made it"
    advice = "next: halflife convert there, or save the model with skops.io.dump where it is trained"
    raise Refused(f"{pickle} is not converted: {why}; expected: {wanted}; {advice}")


def _tell(options: argparse.Namespace, written: Path) -> None:
    """What was written, and the command that publishes it, with the types that it has to name."""
    from models.scorers.sklearn.skops_files import foreign_types

    trust = foreign_types(written)
    named = " ".join(f"--trust {shlex.quote(name)}" for name in trust)
    publish = f"halflife models publish {shlex.quote(str(written))} --version VERSION --sample FILE {named}".strip()
    if options.json:
        print_json({"written": str(written), "trust": trust, "next": publish})
        return
    print_line(f"written: {written}; next: {publish}", out())
