"""The verbs of `halflife`: one for each task."""

import sys
from collections.abc import Callable, Sequence
from functools import partial

from pipeline.commands.dispatch import dispatch
from pipeline.commands.models.verbs import models

_USAGE = """usage: halflife VERB [OPTION…]

  run        run a job (the same as python -m pipeline)
  models     publish, release, roll back, withdraw, list, show and check model versions
  doctor     examine a job and its runner before they cost anything
  features   write a point-in-time training set with the job's own transforms
  replay     score a job's history by candidate versions and compare them

halflife VERB --help says more."""


def _run(arguments: Sequence[str], started: float | None = None) -> int:
    # Beam takes seconds to import: only the verbs that run a graph import it.
    from pipeline.run import run

    return run(arguments, "halflife run", started)


def _doctor(arguments: Sequence[str]) -> int:
    from pipeline.commands.doctor import doctor

    return doctor(arguments)


def _features(arguments: Sequence[str]) -> int:
    from pipeline.training_set import write_features

    return write_features(arguments)


def _replay(arguments: Sequence[str]) -> int:
    from pipeline.replaying.replay import replay

    return replay(arguments)


_VERBS: dict[str, Callable[[Sequence[str]], int]] = {
    "run": _run,
    "models": models,
    "doctor": _doctor,
    "features": _features,
    "replay": _replay,
}


def main(arguments: Sequence[str] | None = None, started: float | None = None) -> int:
    """Dispatches to a verb; returns the exit code: 0 done, 1 failed, 2 bad usage.

    `started`: when the process began (seconds since 1970), from which a run counts; None: now.
    """
    given = sys.argv[1:] if arguments is None else arguments
    return dispatch("halflife", _USAGE, {**_VERBS, "run": partial(_run, started=started)}, given)
