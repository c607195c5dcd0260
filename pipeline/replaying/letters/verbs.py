"""`halflife dead-letters`: what did not become a score, and feeding it again. A start imports one verb only."""

from collections.abc import Callable, Mapping, Sequence

from pipeline.command_line.options import parse_letters_options
from pipeline.commands.dispatch import dispatch

_USAGE = """usage: halflife dead-letters VERB [OPTION…]

  list       a job's dead letters by stage and error, with samples
  replay     feed them again after a fix, each by the release in force at its event's time

halflife dead-letters VERB --help says more."""


def _list(arguments: Sequence[str]) -> int:
    from pipeline.replaying.letters.listing import list_letters

    return list_letters(arguments)


def _replay(arguments: Sequence[str]) -> int:
    options = parse_letters_options(list(arguments), "halflife dead-letters replay")
    from pipeline.replaying.letters.feeding import replay_letters

    return replay_letters(options)


VERBS: Mapping[str, Callable[[Sequence[str]], int]] = {"list": _list, "replay": _replay}


def dead_letters(arguments: Sequence[str]) -> int:
    """Dispatches to a verb; returns the exit code: 0 done, 1 failed, 2 bad usage."""
    return dispatch("halflife dead-letters", _USAGE, VERBS, arguments)
