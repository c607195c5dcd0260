"""The console script `halflife`: one verb per thing a person wants done."""

import sys
from collections.abc import Callable, Sequence

from pipeline.run import run, write_features

_USAGE = """usage: halflife VERB [OPTION…]

  run        run a job (the same as python -m pipeline)
  features   write a point-in-time training set with the job's own transforms

halflife VERB --help says more."""

_VERBS: dict[str, Callable[[Sequence[str]], int]] = {
    "run": lambda arguments: run(arguments, "halflife run"),
    "features": write_features,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Dispatches to a verb; returns the exit code: 0 done, 1 failed, 2 bad usage."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in ("-h", "--help"):
        print(_USAGE)
        return 0
    if not given or given[0] not in _VERBS:
        found = f"verb {given[0]!r} is not known; allowed: {', '.join(_VERBS)}" if given else "a verb is missing"
        print(f"halflife: {found}\n\n{_USAGE}", file=sys.stderr)
        return 2
    return _VERBS[given[0]](given[1:])


if __name__ == "__main__":
    sys.exit(main())
