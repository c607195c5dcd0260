"""Command lines of the verbs: options as Beam writes them, dashes accepted for underscores, every error on one line."""

import argparse
import getpass
import re
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, NoReturn

from pipeline.reporting.json_lines import json_line
from pipeline.reporting.log_form import as_json
from pipeline.reporting.printer import usage_error
from pipeline.spec.environment import JOB, STORE, from_environment
from schemas import times
from schemas.expectations import did_you_mean
from schemas.times import MalformedTime, parse_duration_us

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class PlainParser(argparse.ArgumentParser):
    """Exits with 2 and one line on bad usage, through the one printer: the argument that it repeats may be a secret.
    There are no abbreviations: they would take Beam's options with the same beginning."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Prints what is wrong and where help is."""
        line = f"{self.prog}: {usage_error(message)}; next: {self.prog} --help"
        self.exit(2, (json_line("error", line) if as_json() else line) + "\n")

    def print_help(self, file: Any = None) -> None:
        """Prints the options, or hands this parser to who asked for it (`parser_asked_by`)."""
        if (take := _asked.get()) is not None:
            take.append(self)
            return
        super().print_help(file)

    def _print_message(self, message: str, file: Any = None) -> None:
        if message:  # argparse would not say that nobody reads it
            (file or sys.stderr).write(message)


_asked: ContextVar[list[argparse.ArgumentParser] | None] = ContextVar("asked", default=None)


def parser_asked_by(verb: Callable[[list[str]], object]) -> argparse.ArgumentParser:
    """The parser that answers `--help` of a verb; nothing is printed."""
    taken: list[argparse.ArgumentParser] = []
    token = _asked.set(taken)
    try:
        with suppress(SystemExit):
            verb(["--help"])
    finally:
        _asked.reset(token)
    (parser,) = taken
    return parser


class OneLineParser(PlainParser):
    """The options of a verb. `--effective-from` and `--effective_from` are the same."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, after dashes in the options' names became underscores."""
        found, unknown = self.parse_known_args([_underscored(word) for word in args or ()], namespace)
        if unknown:
            known = [name for name in self._option_string_actions if name.startswith("--")]
            option = next((word.partition("=")[0] for word in unknown if word.startswith("--")), "")
            hint = did_you_mean(option, known) if option else ""
            self.error(f"{' '.join(unknown)}: not known; expected: an option of this command{hint}")
        return _with_environment(found)


def _with_environment(options: argparse.Namespace) -> argparse.Namespace:
    """The options with what environment variables say of the model's store and job, where no option says it."""
    if hasattr(options, "store") and options.job is None:
        options.store = options.store or from_environment(STORE)
        options.job = from_environment(JOB) if options.store is None or options.model is None else None
    return options


def _underscored(word: str) -> str:
    name, separator, value = word.partition("=")
    return f"--{name[2:].replace('-', '_')}{separator}{value}" if word.startswith("--") else word


def add_store_options(parser: argparse.ArgumentParser) -> None:
    """Where the model is: `--store` and `--model`, or `--job`, from which both are taken."""
    parser.add_argument(
        "--store", metavar="URL",
        help=f"the model store: a path, s3://, gs:// or az:// URL (default: that of a given --job, else {STORE})",
    )  # fmt: skip
    parser.add_argument("--model", metavar="NAME", help="the model's name")
    parser.add_argument(
        "--job", metavar="FILE",
        help=f"take both, and the poll interval, from this job spec (default: {JOB}, unless both are given)",
    )  # fmt: skip
    add_settings_option(parser)
    add_output_options(parser)


def add_settings_option(parser: argparse.ArgumentParser) -> None:
    """`--set`, beside a `--job`."""
    parser.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", dest="settings",
        help="override one value of the job spec",
    )  # fmt: skip


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """`--json`, `--verbose`."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--verbose", action="store_true", help="show the logs of libraries, and tracebacks")
    add_log_option(parser)


def add_log_option(parser: argparse.ArgumentParser, *spelt: str) -> None:
    """`--log_format`, which is obeyed before anything is parsed (`pipeline.reporting.log_form`)."""
    parser.add_argument(
        "--log_format", *spelt, choices=("text", "json"), default="text",
        help="json: each line of standard error is a JSON object with time, level, message, job and run",
    )  # fmt: skip


def add_actor_option(parser: argparse.ArgumentParser) -> None:
    """`--by`: the actor in the access log."""
    parser.add_argument("--by", default=actor(), metavar="WHO", help="who does this (default: %(default)s)")


def add_admission_options(parser: argparse.ArgumentParser) -> None:
    """What a job allows bundles to be; with `--job` the job's own values are the defaults."""
    parser.add_argument("--allow_pickle", action="store_true", help="open pickles, which can run any code")
    parser.add_argument(
        "--trust", action="append", default=[], metavar="TYPE",
        help="make objects of this type, by its full name, where a bundle's skops file has some; repeatable",
    )  # fmt: skip
    parser.add_argument("--trusted_key", metavar="FILE", help="refuse bundles not signed with this public key (PEM)")
    parser.add_argument("--max_bytes", type=positive, metavar="N", help="greatest size of a bundle in bytes")


def actor() -> str:
    """The user of this process and its machine, such as `ann@build7`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"  # a container may run under a user id that has no name
    return f"{user}@{socket.gethostname()}"


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: a whole number greater than 0")
    return int(text)


def instant(text: str) -> int:
    """An RFC 3339 time or `now`, as microseconds since 1970."""
    if text == "now":
        return times.now_us()
    try:
        return times.parse_instant_us(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error} or now") from None


def moment(text: str) -> int:
    """A day, which begins at midnight UTC, an RFC 3339 time or `now`, as microseconds since 1970.

    >>> moment("1970-01-02"), moment("1970-01-01T00:00:01Z")
    (86400000000, 1000000)
    """
    try:
        return times.parse_instant_us(f"{text}T00:00:00Z") if _DAY.fullmatch(text) else instant(text)
    except MalformedTime:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; expected: a day such as 2013-03-01") from None
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, or a day such as 2013-03-01") from None


def day(text: str) -> str:
    """A day such as 2013-03-01."""
    try:
        times.parse_instant_us(f"{text}T00:00:00Z")
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; expected: a day such as 2013-03-01") from None
    return text


def duration(text: str) -> int:
    """A duration such as 10s, as microseconds."""
    try:
        return parse_duration_us(text)
    except MalformedTime as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def pair(text: str) -> tuple[str, str]:
    """`key=value`."""
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; expected: key=value")
    return key, value


Arguments = Sequence[str]
