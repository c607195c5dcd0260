"""`halflife models`: the model store for people and machines."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from pipeline.command_line.parsing import Arguments
from pipeline.commands.dispatch import dispatch

_USAGE = """usage: halflife models VERB [OPTION…]

  publish    put a trained model into the store as a new version
  release    decide which versions serve, in which role, from when on
  rollback   release an earlier release's versions again
  withdraw   take back a version that no release names; its name is used up
  list       the versions, and the roles they have now
  timeline   all releases, and which is in force
  show       a version's manifest, profile and quality
  check      give a bundle or a version every proof a job would ask of it
  compare    what two versions differ in: manifests, inputs, training, quality
  access     who published, released, read or loaded what, and when

The store is named by --store URL and --model NAME, or by --job FILE. halflife models VERB --help says more."""


def _verb(module: str, name: str) -> Callable[[Arguments], int]:
    """The function of a verb, which imports its module when it is called: a start pays for one verb only."""

    def run(arguments: Arguments) -> int:
        code: int = getattr(import_module(f"pipeline.commands.models.{module}"), name)(arguments)
        return code

    return run


_VERBS: Mapping[str, Callable[[Arguments], int]] = {
    "publish": _verb("publish", "publish"),
    "release": _verb("release", "release"),
    "rollback": _verb("rollback", "rollback"),
    "withdraw": _verb("withdraw", "withdraw"),
    "list": _verb("listing", "list_versions"),
    "timeline": _verb("listing", "timeline"),
    "show": _verb("listing", "show"),
    "check": _verb("check", "check"),
    "compare": _verb("compare", "compare"),
    "access": _verb("access", "access"),
}


def models(arguments: Sequence[str]) -> int:
    """Dispatches to a verb; returns the exit code: 0 done, 1 failed or refused, 2 bad usage."""
    return dispatch("halflife models", _USAGE, _VERBS, arguments)
