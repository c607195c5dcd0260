"""The command line of a job: Halflife's own options, and those that are Beam's."""

import argparse
import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser

from pipeline.documents import settings_of
from schemas.validation import SpecError

# These have options that only their job servers know, such as Flink's --checkpointing_interval.
_JOB_SERVERS = ("FlinkRunner", "SparkRunner", "PortableRunner")
# How alike an option must be to one of ours to be taken for its misspelling where a job server may know it.
_MISSPELT = 0.8


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Parsed once; `beam` holds the arguments that Beam parses."""

    job: Path | str | None
    settings: tuple[str, ...]
    summary: str | None
    json: bool
    verbose: bool
    out: str | None
    beam: tuple[str, ...]


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: true, false")
    return text == "true"


# A switch may have a value, since a launcher of templates passes every parameter as --name=value.
_SWITCH: Any = {"nargs": "?", "const": True, "default": False, "type": _truth, "metavar": "true|false"}


class _Parser(argparse.ArgumentParser):
    def __init__(self, prog: str) -> None:
        # Abbreviations would swallow Beam's options that begin like ours.
        super().__init__(prog=prog, description="Run a job; options not listed are Beam's.", allow_abbrev=False)
        self.add_argument(
            "--job", metavar="FILE",
            help="job spec, a path or a URI such as gs://bucket/job.yaml (default: the embedded flights job)",
        )  # fmt: skip
        self.add_argument(
            "--set", action="append", default=[], metavar="PATH=VALUE",
            help="override one value of the job spec, such as model.poll=30s; repeatable",
        )  # fmt: skip
        self.add_argument(
            "--settings", default="{}", metavar="MAPPING",
            help="many --set in one argument, a YAML mapping such as '{model.poll: 30s}'; --set wins",
        )  # fmt: skip
        self.add_argument(
            "--allow_pickle", **_SWITCH,
            help="open pickled models, which can run any code (model.allow_pickle)",
        )  # fmt: skip
        self.add_argument(
            "--trusted_key", metavar="FILE",
            help="refuse bundles that are not signed with this public key (model.trusted_key)",
        )  # fmt: skip
        self.add_argument("--summary", metavar="FILE", help="write the counts of the run as JSON")
        self.add_argument("--json", action="store_true", help="print the summary as JSON instead of a table")
        self.add_argument("--verbose", **_SWITCH, help="show Beam's log and tracebacks")


def job_options() -> dict[str, bool]:
    """The names of Halflife's own options of a run; true for those that take no value or one of true and false."""
    actions = [action for action in _Parser("")._actions if action.dest != "help"]
    return {action.dest: action.nargs in (0, "?") for action in actions}


def parse_run_options(arguments: list[str], prog: str, with_out: bool = False) -> RunOptions:
    """The options of a run. Exits with 2 and a message on bad usage, as argparse does."""
    parser = _Parser(prog)
    if with_out:
        parser.add_argument("--out", required=True, metavar="DIR", help="folder for the training set (Parquet)")
    known, rest = parser.parse_known_args(arguments)
    _check_beam_arguments(parser, rest)
    out = known.out if with_out else None
    try:
        settings = [*settings_of(known.settings), *known.set, *_as_settings(known)]
    except SpecError as error:
        parser.error(str(error))
    return RunOptions(known.job, tuple(settings), known.summary, known.json, known.verbose, out, tuple(rest))


class _BeamParser(_BeamArgumentParser):  # Beam has no public way to ask which options it knows
    """Beam's options; a wrong value is reported by the parser `ours`, without Beam's pages of usage."""

    def __init__(self, ours: argparse.ArgumentParser) -> None:
        super().__init__(allow_abbrev=False, add_help=False)
        self._ours = ours
        for options in {str(found): found for found in PipelineOptions.__subclasses__()}.values():
            options._add_argparse_args(self)

    def error(self, message: str) -> NoReturn:
        self._ours.error(message)


def _check_beam_arguments(parser: argparse.ArgumentParser, arguments: list[str]) -> None:
    """Exits with 2 for an argument that nobody knows: Beam itself would only log it."""
    if not arguments:
        return
    beam_parser = _BeamParser(parser)
    known, unknown = beam_parser.parse_known_args(arguments)
    ours, beams = parser._option_string_actions, beam_parser._option_string_actions
    for argument in unknown:
        name = argument.split("=")[0]
        if known.runner in _JOB_SERVERS:
            close = difflib.get_close_matches(name, ours, n=1, cutoff=_MISSPELT)
            if not close:
                continue
        else:
            close = _closest(name, [*ours, *beams])
        hint = f"; did you mean {close[0]}?" if close else f"; {parser.prog} --help lists ours"
        parser.error(f"argument {argument!r} is not known, neither to Halflife nor to Beam{hint}")


def _closest(name: str, known: Iterable[str]) -> list[str]:
    return difflib.get_close_matches(name, known, n=1) if name.startswith("-") else []


def _as_settings(known: argparse.Namespace) -> list[str]:
    """Options that say the same as a value of the job spec."""
    pickles = ["model.allow_pickle=true"] if known.allow_pickle else []
    # JSON is YAML: a path with a colon or a sharp in it stays one text.
    key = [] if known.trusted_key is None else [f"model.trusted_key={json.dumps(known.trusted_key)}"]
    return pickles + key
