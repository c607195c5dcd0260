"""The command line of a job: Halflife's own options, and those that are Beam's."""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, get_args

from pipeline.command_line.parsing import PlainParser, add_log_option, moment
from pipeline.command_line.sink_policy import SinkPolicy
from pipeline.reporting.limits import NO_LIMITS, Limits, parse_max_letters
from pipeline.reporting.printer import usage_error
from pipeline.spec.documents import settings_of
from pipeline.spec.environment import JOB, from_environment
from schemas.dead_letter_stages import Stage
from schemas.expectations import did_you_mean
from schemas.validation import Absent, SpecError

# The runners that `halflife doctor` can examine, by the name that users give.
_EXAMINED = {"direct": "DirectRunner", "flink": "FlinkRunner", "dataflow": "DataflowRunner"}


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Parsed once; `beam` holds the arguments that Beam parses. `job`: a file, or the document itself. `letters`: stage
    and error of the dead letters that alone are fed again."""

    job: Path | str | Mapping[str, Any] | None
    settings: tuple[str, ...]
    summary: str | None
    json: bool
    verbose: bool
    out: str | None
    beam: tuple[str, ...]
    limits: Limits = NO_LIMITS
    sinks: SinkPolicy = SinkPolicy.APPEND
    only_new: bool = False
    retry_dead_letters: bool = False
    letters: tuple[str | None, str | None] | None = None
    labels: bool = False
    split_at_us: int | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay scores, and by what: `versions`, or with `as_recorded` those that the receipts name; `receipts`:
    the receipts of the audit, from `since_us` on and before `until_us`, instead of the source."""

    versions: tuple[str, ...]
    receipts: bool = False
    as_recorded: bool = False
    since_us: int | None = None
    until_us: int | None = None


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: true, false")
    return text == "true"


def _policy(text: str) -> SinkPolicy:
    if text not in list(SinkPolicy):
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: {', '.join(SinkPolicy)}")
    return SinkPolicy(text)


# A switch may have a value, since a launcher of templates passes every parameter as --name=value.
_SWITCH: Any = {"nargs": "?", "const": True, "default": False, "type": _truth, "metavar": "true|false"}


class _Parser(PlainParser):
    """Halflife's own options of a job."""

    def __init__(self, prog: str, does: str = "Run a job") -> None:
        super().__init__(prog, f"{does}; options not listed are Beam's.")
        self.add_argument(
            "--job", metavar="FILE", default=from_environment(JOB),
            help=f"job spec (docs/job.md), a path or URI like gs://bucket/job.yaml (default: the value of {JOB}, else "
            "the embedded flights job)",
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
        self.add_argument(
            "--sinks", type=_policy, default=SinkPolicy.APPEND, metavar="|".join(SinkPolicy),
            help="where the folders of sinks hold records of earlier runs: add to them (default), fail (exit 1), or "
            "delete those of this job once the run has succeeded, but for the audit",
        )  # fmt: skip
        self.add_argument("--json", action="store_true", help="print JSON instead of a table")
        self.add_argument("--verbose", **_SWITCH, help="show Beam's log and tracebacks, and how far the run has come")
        add_log_option(self, "--log-format")


class _RunParser(_Parser):
    """Also the options for the results of a run."""

    def __init__(self, prog: str, does: str = "Run a job") -> None:
        super().__init__(prog, does)
        self.add_argument("--summary", metavar="FILE", help="write the counts of the run as JSON")
        self.add_argument(
            "--max_dead_letters", metavar="N|N%",
            help="fail (exit 1) if there are more dead letters than this number or share of the records",
        )  # fmt: skip
        self.add_argument("--require_input", **_SWITCH, help="fail (exit 1) if there are no records to read")


def job_options() -> dict[str, bool]:
    """The names of Halflife's own options of a run; true for those that take no value or one of true and false."""
    actions = [action for action in _RunParser("")._actions if action.dest != "help"]
    return {action.dest: action.nargs in (0, "?") for action in actions}


def parse_run_options(arguments: list[str], prog: str, with_out: bool = False) -> RunOptions:
    """The options of a run. Exits with 2 and a message on bad usage, as argparse does."""
    parser = _RunParser(prog, "Write a point-in-time training set" if with_out else "Run a job")
    if with_out:
        _add_training_options(parser)
    else:
        _add_only_new(parser)
    known, given = parser.parse_known_args(arguments)
    rest = _checked_beam_arguments(parser, given)
    out = known.out if with_out else None
    settings = _all_settings(parser, known)
    limits = _limits(parser, known)
    beam = tuple(rest)
    options = RunOptions(known.job, settings, known.summary, known.json, known.verbose, out, beam, limits, known.sinks)
    if with_out:
        return replace(options, labels=known.labels, split_at_us=known.split_at)
    if known.retry_dead_letters and not known.only_new:
        parser.error("argument --retry_dead_letters is not allowed alone; expected: --only_new beside it")
    return replace(options, only_new=known.only_new, retry_dead_letters=known.retry_dead_letters)


def parse_letters_options(arguments: list[str], prog: str) -> RunOptions:
    """The options of feeding dead letters again, as those of a run. Exits with 2 and a message on bad usage."""
    parser = _RunParser(prog, "Feed dead letters again, each by the release in force at its event's time")
    add_letter_choice(parser)
    known, given = parser.parse_known_args(arguments)
    rest = tuple(_checked_beam_arguments(parser, given))
    return RunOptions(
        known.job, _all_settings(parser, known), known.summary, known.json, known.verbose, None, rest,
        _limits(parser, known), known.sinks, only_new=True, retry_dead_letters=True, letters=(known.stage, known.error),
    )  # fmt: skip


def add_letter_choice(parser: argparse.ArgumentParser) -> None:
    """The options that choose among dead letters."""
    parser.add_argument("--stage", choices=get_args(Stage), help="only letters of this stage")
    parser.add_argument("--error", metavar="ERROR", help="only letters with this error, such as MissingInput")


def checked_beam_options(options: Sequence[str]) -> tuple[str, ...]:
    """Options of Beam's as the command line takes them. Raises `SpecError` for one that it would not take."""
    return tuple(_checked_beam_arguments(_RaisingParser(""), list(options)))


class _RaisingParser(_RunParser):
    def error(self, message: str) -> NoReturn:
        found, _, allowed = usage_error(message).partition("; ")
        raise SpecError("beam_options", Absent(found), re.sub("^(allowed|expected): ", "", allowed))


def _add_training_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the training set (Parquet)")
    parser.add_argument(
        "--labels", **_SWITCH, help="write each event's label (`labels` of the spec) beside its features; only labelled"
    )  # fmt: skip
    parser.add_argument(
        "--split_at", type=moment, metavar="TIME",
        help="split the set in time: events before it, whose labels are known by then, in DIR/train, later ones in "
        "DIR/test",
    )  # fmt: skip


def _add_only_new(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--only_new", **_SWITCH,
        help="score only events that no earlier run of this job has scored; features are of all of them",
    )  # fmt: skip
    parser.add_argument("--retry_dead_letters", **_SWITCH, help="with --only_new, score those of dead letters again")


def parse_doctor_options(arguments: list[str], prog: str) -> tuple[str, RunOptions]:
    """The runner, as Beam spells it, and the options of an examination. Exits with 2 on bad usage."""
    parser = _Parser(prog, "Examine a job before it runs")
    parser.add_argument("--runner", metavar="NAME", help=f"one of {', '.join(_EXAMINED)}; required")
    known, given = parser.parse_known_args(arguments)
    if known.runner is None:
        parser.error(f"--runner: missing; allowed: {', '.join(_EXAMINED)}")
    runner = _EXAMINED.get(known.runner.lower().removesuffix("runner"))
    if runner is None:
        hint = did_you_mean(known.runner, _EXAMINED)
        parser.error(f"--runner: {known.runner!r} is not known; allowed: {', '.join(_EXAMINED)}{hint}")
    rest = _checked_beam_arguments(parser, [*given, f"--runner={runner}"])
    settings = _all_settings(parser, known)
    beam, of_sinks = tuple(rest), known.sinks
    return runner, RunOptions(known.job, settings, None, known.json, known.verbose, None, beam, sinks=of_sinks)


def parse_replay_options(arguments: list[str], prog: str) -> tuple[Replayed, RunOptions]:
    """What a replay scores, and its options as those of a run. Exits with 2 on bad usage."""
    parser = _Parser(prog, "Score a job's history by candidate versions and compare them")
    _add_replay_options(parser)
    known, given = parser.parse_known_args(arguments)
    versions = tuple(known.versions)
    if len(versions) > 2 or len(set(versions)) < len(versions):
        parser.error(f"argument --version: {', '.join(versions)} is not allowed; expected: one or two versions")
    if known.as_recorded and versions:
        parser.error("argument --version is not allowed beside --as_recorded; expected: one of them")
    if not known.as_recorded and not versions:
        parser.error("the following arguments are required: --version")
    for option, value in (("--as_recorded", known.as_recorded), ("--from", known.since), ("--to", known.until)):
        if value not in (None, False) and not known.receipts:
            parser.error(f"argument {option} is not allowed alone; expected: --receipts beside it")
    if known.receipts and given:
        parser.error(f"argument {given[0]} is not allowed beside --receipts; expected: no option of Beam's")
    rest = tuple(_checked_beam_arguments(parser, given))
    settings = _all_settings(parser, known)
    options = RunOptions(known.job, settings, None, known.json, known.verbose, known.out, rest, sinks=known.sinks)
    return Replayed(versions, known.receipts, known.as_recorded, known.since, known.until), options


def _add_replay_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--version", action="append", default=[], metavar="V", dest="versions",
        help="a version to score all events by; once more for a second, which is compared with the first",
    )  # fmt: skip
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the replay's records; no sink's folder")
    parser.add_argument(
        "--receipts", **_SWITCH, help="score what the receipts of the job's audit hold, instead of reading the source"
    )  # fmt: skip
    parser.add_argument(
        "--as_recorded", **_SWITCH,
        help="with --receipts, score each receipt by its own version, and fail (exit 1) where its score is another",
    )  # fmt: skip
    parser.add_argument(
        "--from", type=moment, metavar="TIME", dest="since", help="with --receipts, only events from this time on"
    )
    parser.add_argument(
        "--to", type=moment, metavar="TIME", dest="until", help="with --receipts, only events before this time"
    )


def _limits(parser: argparse.ArgumentParser, known: argparse.Namespace) -> Limits:
    try:
        return parse_max_letters(known.max_dead_letters)._replace(require_input=known.require_input)
    except SpecError as error:
        parser.error(str(error))


def _all_settings(parser: argparse.ArgumentParser, known: argparse.Namespace) -> tuple[str, ...]:
    try:
        return (*settings_of(known.settings), *known.set, *_as_settings(known))
    except SpecError as error:
        parser.error(str(error))


def _checked_beam_arguments(parser: argparse.ArgumentParser, arguments: list[str]) -> list[str]:
    """Those that Halflife's own parser left, checked by Beam's, whose import takes seconds."""
    if not arguments:
        return arguments
    from pipeline.command_line.beam_options import checked_beam_arguments

    return checked_beam_arguments(parser, arguments)


def _as_settings(known: argparse.Namespace) -> list[str]:
    """Options that are equivalent to a value of the job spec."""
    pickles = ["model.allow_pickle=true"] if known.allow_pickle else []
    # JSON is YAML: a path with a colon or a `#` in it stays one text.
    key = [] if known.trusted_key is None else [f"model.trusted_key={json.dumps(known.trusted_key)}"]
    return pickles + key
