"""Beam's options on the command line of a job; apart from our own, since only a line that has some imports Beam."""

import argparse
import importlib
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions, _BeamArgumentParser
from apache_beam.runners.runner import PipelineRunner

from pipeline.command_line import job_server_options
from schemas.expectations import LIKENESS, did_you_mean, meant, nearest
from schemas.reasons import of_error

# Job servers whose options are not listed here: unknown options are passed on to them.
_UNLISTED = ("SparkRunner", "PortableRunner", "KafkaStreamsRunner")
_LISTED: Mapping[str | None, frozenset[str]] = {"FlinkRunner": job_server_options.FLINK}
# How similar an option must be to a known one to count as its misspelling where a job server may know it.
_MISSPELT = 0.8


class _BeamParser(_BeamArgumentParser):  # Beam has no public API that lists its options
    """Beam's options; a wrong value is reported by the parser `ours`, without Beam's pages of usage."""

    def __init__(self, ours: argparse.ArgumentParser) -> None:
        super().__init__(allow_abbrev=False, add_help=False)
        self._ours = ours
        for options in {str(found): found for found in PipelineOptions.__subclasses__()}.values():
            options._add_argparse_args(self)

    def error(self, message: str) -> NoReturn:
        self._ours.error(message)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does; a value on which one of Beam's actions fails is refused with its option."""
        try:
            return super().parse_known_args(args, namespace)
        except (TypeError, ValueError) as error:
            name = next((argument for argument in args if not self._takes(argument)), "an option of Beam's")
            self.error(f"{name!r} is not allowed; expected: a value that Beam can read ({of_error(error)})")

    def _takes(self, argument: str) -> bool:
        try:
            super().parse_known_args([argument])
        except (TypeError, ValueError):
            return False
        return True


def checked_beam_arguments(parser: argparse.ArgumentParser, arguments: list[str]) -> list[str]:
    """The arguments with the runner's name as Beam spells it; exits with 2 for an unknown one.

    Beam itself would only log it, and accept any text as a runner until the job is built.
    """
    beam_parser = _BeamParser(parser)
    known, unknown = beam_parser.parse_known_args(arguments)
    runner = None if known.runner is None else _runner_name(parser, known.runner)
    job_servers = [f"--{name}" for name in _LISTED.get(runner, ())]
    allowed = [*parser._option_string_actions, *beam_parser._option_string_actions, *job_servers]
    for before, argument in zip(["", *unknown], unknown, strict=False):
        name = argument.split("=")[0]
        close = _closest(name, allowed, _MISSPELT if runner in _UNLISTED else LIKENESS)
        if name in job_servers or before in job_servers or (runner in _UNLISTED and not close):
            continue  # the argument after an option of a job server may be its value
        parser.error(f"{argument!r} is not known; expected: an option of Halflife's or of Beam's{meant(close)}")
    return arguments if runner == known.runner else [*arguments, f"--runner={runner}"]


def _runner_name(parser: argparse.ArgumentParser, given: str) -> str:
    """The name of a runner as Beam spells it: `flink` and `flinkrunner` are `FlinkRunner`."""
    names = {path.rpartition(".")[2].lower(): path for path in StandardOptions.ALL_KNOWN_RUNNERS}
    path = names.get(given.lower()) or names.get(f"{given.lower()}runner")
    if path is not None or given in names.values():
        return (path or given).rpartition(".")[2]
    if "." in given and _is_runner(given):
        return given
    allowed = [path.rpartition(".")[2] for path in names.values()]
    hint = did_you_mean(given, allowed)
    allowing = f"expected: {', '.join(allowed)}, or the dotted name of a runner's class"
    parser.error(f"--runner: {given!r} is not known; {allowing}{hint}")


def _is_runner(dotted: str) -> bool:
    module, _, name = dotted.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except (ImportError, ValueError):
        return False
    return isinstance(found, type) and issubclass(found, PipelineRunner)


def _closest(name: str, known: Iterable[str], likeness: float) -> list[str]:
    """The options that are nearly the same, or the one that is most similar."""
    if not name.startswith("-"):
        return []
    names = list(known)
    return nearest(name, names, most=3, likeness=_MISSPELT) or nearest(name, names, likeness=likeness)
