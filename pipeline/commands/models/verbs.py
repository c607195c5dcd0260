"""`halflife models`: the model store for people and machines."""

from collections.abc import Callable, Sequence

from pipeline.command_line.parsing import Arguments
from pipeline.commands.dispatch import dispatch
from pipeline.commands.models.access import access
from pipeline.commands.models.check import check
from pipeline.commands.models.compare import compare
from pipeline.commands.models.listing import list_versions, show, timeline
from pipeline.commands.models.publish import publish
from pipeline.commands.models.release import release
from pipeline.commands.models.rollback import rollback
from pipeline.commands.models.withdraw import withdraw

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

_VERBS: dict[str, Callable[[Arguments], int]] = {
    "publish": publish,
    "release": release,
    "rollback": rollback,
    "withdraw": withdraw,
    "list": list_versions,
    "timeline": timeline,
    "show": show,
    "check": check,
    "compare": compare,
    "access": access,
}


def models(arguments: Sequence[str]) -> int:
    """Dispatches to a verb; returns the exit code: 0 done, 1 failed or refused, 2 bad usage."""
    return dispatch("halflife models", _USAGE, _VERBS, arguments)
