"""The verbs of `halflife`: one for each task."""

import sys
from collections.abc import Callable, Sequence
from functools import partial

from pipeline.command_line.init_options import parse_init_options
from pipeline.command_line.options import parse_replay_options, parse_run_options
from pipeline.commands.audit.verbs import _VERBS as _VERBS_OF_AUDIT
from pipeline.commands.audit.verbs import audit
from pipeline.commands.dispatch import dispatch
from pipeline.commands.models.verbs import _VERBS as _VERBS_OF_MODELS
from pipeline.commands.models.verbs import models
from pipeline.commands.tables.verbs import VERBS_OF_TABLES, tables
from pipeline.commands.version import version_line
from pipeline.replaying.letters.verbs import VERBS as _VERBS_OF_LETTERS
from pipeline.replaying.letters.verbs import dead_letters
from pipeline.reporting import log_form
from pipeline.reporting.printer import as_json_line, print_line

_USAGE = """usage: halflife VERB [OPTION…]

  run        run a job (the same as python -m pipeline)
  models     publish, release, roll back, withdraw, list, show and check model versions
  audit      say of a score, an event or a time what happened, and prove it
  tables     publish, release and list versions of the tables that lookups join
  doctor     examine a job and its runner before they cost anything
  features   write a point-in-time training set with the job's own transforms
  rollout    make a version champion step by step, as its quality allows
  advise     say whether retraining a model pays, and tell a hook
  replay     score a job's history by candidate versions and compare them
  dead-letters list what became no score, and feed it again after a fix
  init       make a job of your data, train a first model, and score with it
  convert    write a pickled model as a file that runs no code when it is opened
  completion print what makes bash, zsh or fish complete verbs and options

halflife VERB --help says more; halflife --version says which Halflife, Beam and Python these are."""


def run_job(arguments: Sequence[str], started: float | None = None, prog: str = "halflife run") -> int:
    """Runs a job; returns the exit code. `started`: as of `main`.

    As for the other verbs that run a graph, help and bad usage are answered before Beam is imported, which takes
    seconds.
    """
    if list(arguments) == ["--version"]:
        print_line(version_line())
        return 0
    with log_form.logged(arguments, as_json_line):
        options = parse_run_options(list(arguments), prog)
        from pipeline.run import run_parsed

        return run_parsed(options, started)


def _doctor(arguments: Sequence[str]) -> int:
    from pipeline.commands.doctor import doctor

    return doctor(arguments)


def _features(arguments: Sequence[str]) -> int:
    options = parse_run_options(list(arguments), "halflife features", with_out=True)
    from pipeline.training_set import write_parsed

    return write_parsed(options)


def _init(arguments: Sequence[str]) -> int:
    options = parse_init_options(arguments)
    from pipeline.first_job.init import init

    return init(options)


def _replay(arguments: Sequence[str]) -> int:
    replayed, options = parse_replay_options(list(arguments), "halflife replay")
    if replayed.receipts:
        from pipeline.replaying.recorded.verb import replay_receipts

        return replay_receipts(replayed, options)
    from pipeline.replaying.replay import replay_parsed

    return replay_parsed(replayed.versions, options)


def _rollout(arguments: Sequence[str]) -> int:
    from pipeline.commands.rollout.verb import rollout

    return rollout(arguments)


def _advise(arguments: Sequence[str]) -> int:
    from pipeline.commands.advise.verb import advise_verb

    return advise_verb(arguments)


def _convert(arguments: Sequence[str]) -> int:
    from pipeline.commands.convert import convert

    return convert(arguments)


def _completion(arguments: Sequence[str]) -> int:
    from pipeline.commands.completion import completion

    below = {
        **{"models": _VERBS_OF_MODELS, "tables": VERBS_OF_TABLES},
        **{"audit": _VERBS_OF_AUDIT, "dead-letters": _VERBS_OF_LETTERS},
    }
    return completion(arguments, {name: below.get(name) for name in _VERBS}, _VERBS)


_VERBS: dict[str, Callable[[Sequence[str]], int]] = {
    "run": run_job,
    "models": models,
    "audit": audit,
    "tables": tables,
    "doctor": _doctor,
    "features": _features,
    "rollout": _rollout,
    "advise": _advise,
    "replay": _replay,
    "dead-letters": dead_letters,
    "init": _init,
    "convert": _convert,
    "completion": _completion,
}


def main(arguments: Sequence[str] | None = None, started: float | None = None) -> int:
    """Dispatches to a verb; returns the exit code: 0 done, 1 failed, 2 bad usage.

    `started`: when the process began (seconds since 1970), from which a run counts; None: now.
    """
    given = sys.argv[1:] if arguments is None else arguments
    with log_form.logged(given, as_json_line):
        return _answer(given, started)


def _answer(given: Sequence[str], started: float | None) -> int:
    if list(given[:1]) == ["--version"]:
        print_line(version_line())
        return 0
    return dispatch("halflife", _USAGE, {**_VERBS, "run": partial(run_job, started=started)}, given)
