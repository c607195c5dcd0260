"""`halflife tables`: the versions of lookups' tables in the store, and their timelines."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from pipeline.command_line.parsing import Arguments
from pipeline.commands.dispatch import dispatch

_USAGE = """usage: halflife tables VERB [OPTION…]

  publish    put files with a table into the store as a new version
  release    decide from which event time on a version holds
  list       the tables, or the versions of one, and which holds now
  timeline   all releases of a table, and which is in force

The store is named by --store URL, or by --job FILE. halflife tables VERB --help says more."""


def _verb(module: str, name: str) -> Callable[[Arguments], int]:
    """The function of a verb, which imports its module when it is called."""

    def run(arguments: Arguments) -> int:
        code: int = getattr(import_module(f"pipeline.commands.tables.{module}"), name)(arguments)
        return code

    return run


VERBS_OF_TABLES: Mapping[str, Callable[[Arguments], int]] = {
    "publish": _verb("publish", "publish"),
    "release": _verb("release", "release"),
    "list": _verb("listing", "list_tables"),
    "timeline": _verb("listing", "timeline"),
}


def tables(arguments: Sequence[str]) -> int:
    """Dispatches to a verb; returns the exit code: 0 done, 1 failed or refused, 2 bad usage."""
    return dispatch("halflife tables", _USAGE, VERBS_OF_TABLES, arguments)
