"""`halflife audit key`: the key pair that signs the checkpoints of an audit."""

import argparse
import os
from pathlib import Path

from audit.files.checkpoints import origin_of
from audit.files.notes import UnusableNote, new_key
from models.errors import one_line
from pipeline.command_line.parsing import Arguments, OneLineParser, add_output_options
from pipeline.commands.output import Refused, exit_code
from pipeline.reporting.printer import note, print_json, print_line


def key(arguments: Arguments) -> int:
    """`halflife audit key --out FILE`; returns the exit code."""
    parser = OneLineParser("halflife audit key", "Make the key that signs the checkpoints of an audit.")
    parser.add_argument(
        "--out", required=True, metavar="FILE",
        help="where the private key goes, which only you may read, a new file; the public one goes to FILE.pub",
    )  # fmt: skip
    parser.add_argument(
        "--name", metavar="NAME", default=None, help="the key's name (default: halflife/ and the name of the file)"
    )
    add_output_options(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _key(options), options.verbose)


def _key(options: argparse.Namespace) -> None:
    path = Path(options.out)
    try:
        made = new_key(options.name or origin_of(path.name.partition(".")[0]))
    except UnusableNote as error:
        raise Refused(f"--name: {error}") from None
    try:
        _write(path, made.stated(), 0o600)
        _write(path.with_name(f"{path.name}.pub"), str(made.public), 0o644)
    except FileExistsError as error:
        raise Refused(
            f"{error.filename} is there already; expected: a new file, since a lost key signs no more"
        ) from None
    except OSError as error:
        raise Refused(f"{path} cannot be written: {one_line(error)}") from None
    if options.json:
        print_json({"public": str(made.public), "name": made.public.name, "private_file": str(path)})
        return
    print_line(str(made.public))
    note(f"the private key is in {path}; next: name it as audit.key of the job, and give the public key to auditors")


def _write(path: Path, text: str, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(f"{text}\n")
        stream.flush()
        os.fsync(stream.fileno())
