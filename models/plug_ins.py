"""Plug-ins: what other installed distributions add, found by their entry points and imported only where a spec names
them. They are code that the operator installed, and may do whatever the job may.

The built-in entries of a group go first: a plug-in of the same name is never imported.
"""

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from models.errors import one_line
from schemas.validation import Absent, SpecError

INTERFACE = 1
"""The version of what a plug-in implements (docs/python.md); each says the one it was made for."""
SOURCES, SINKS, AGGREGATES = "halflife.sources", "halflife.sinks", "halflife.aggregates"


class PlugInBroken(SpecError):
    """A spec names a plug-in that is installed and cannot be used."""


def installed(group: str) -> tuple[str, ...]:
    """The names of the installed plug-ins of a group, sorted; none is imported."""
    return tuple(sorted(entry_points(group=group).names))


def plug_in(group: str, name: str, spec_path: str) -> Any:
    """What the plug-in of that name adds; None where none is installed. `spec_path`: where the spec names it.

    Raises:
        PlugInBroken: it cannot be imported, is of another version of the interface, or is there twice.
    """
    found = list({(each.value, _distribution(each)): each for each in entry_points(group=group, name=name)}.values())
    if not found:
        return None
    if len(found) > 1:
        named = " and ".join(sorted(map(_distribution, found)))
        raise PlugInBroken(spec_path, Absent(f"{name!r} is a plug-in of {named}"), f"one of {group}")
    [entry] = found
    said = f"plug-in {name!r} of {_distribution(entry)}"
    try:
        added = entry.load()
    except (Exception, SystemExit) as error:  # whatever its code raises when it is imported
        why = f"{said} cannot be imported from {entry.value}: {one_line(error)}"
        raise PlugInBroken(spec_path, Absent(why), "one that can; next: mend or uninstall it") from None
    interface = getattr(added, "interface", None)
    if interface != INTERFACE:
        why = f"{said} has interface {interface!r}"
        raise PlugInBroken(spec_path, Absent(why), f"{INTERFACE}, that of this Halflife")
    return added


def _distribution(entry: EntryPoint) -> str:
    return "an unknown distribution" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
