"""`halflife models`: the model store for people and machines."""

import sys
from collections.abc import Callable, Sequence

from pipeline.commands.access import access
from pipeline.commands.check import check
from pipeline.commands.listing import list_versions, show, timeline
from pipeline.commands.parsing import Arguments
from pipeline.commands.publish import publish
from pipeline.commands.release import release, rollback

_USAGE = """usage: halflife models VERB [OPTION…]

  publish    put a trained model into the store as a new version
  release    decide which versions serve, in which role, from when on
  rollback   release an earlier release's versions again
  list       the versions, and the roles they have now
  timeline   all releases, and which is in force
  show       a version's manifest, profile and quality
  check      give a bundle or a version every proof a job would ask of it
  access     who published, released, read or loaded what, and when

The store is named by --store URL and --model NAME, or by --job FILE. halflife models VERB --help says more."""

_VERBS: dict[str, Callable[[Arguments], int]] = {
    "publish": publish,
    "release": release,
    "rollback": rollback,
    "list": list_versions,
    "timeline": timeline,
    "show": show,
    "check": check,
    "access": access,
}


def models(arguments: Sequence[str]) -> int:
    """Dispatches to a verb; returns the exit code: 0 done, 1 failed or refused, 2 bad usage."""
    if arguments and arguments[0] in ("-h", "--help"):
        print(_USAGE)
        return 0
    if not arguments or arguments[0] not in _VERBS:
        found = f"verb {arguments[0]!r} is not known" if arguments else "a verb is missing"
        print(f"halflife models: {found}; allowed: {', '.join(_VERBS)}", file=sys.stderr)
        return 2
    return _VERBS[arguments[0]](list(arguments[1:]))
