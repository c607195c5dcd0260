"""The tables that a process holds: each once, however many of its threads and steps join it."""

from threading import Lock
from typing import Protocol
from weakref import WeakValueDictionary

from schemas.job import LookupSpec
from transforms.lookups.answers import Answering
from transforms.lookups.as_of import AsOfTable
from transforms.lookups.timed_table import TimedTable


class Tables(Protocol):
    """Reads the tables of lookups in a worker; picklable."""

    def load(self, lookup: LookupSpec, /) -> AsOfTable: ...


class NoTables:
    """What a job without lookups reads its tables with."""

    def load(self, lookup: LookupSpec) -> AsOfTable:
        raise AssertionError(f"nothing was given that reads the table of lookup {lookup.name}")


_HELD: WeakValueDictionary[LookupSpec, AsOfTable] = WeakValueDictionary()
_LOADING = Lock()


def held_table(lookup: LookupSpec, tables: Tables) -> AsOfTable:
    """The table of a lookup, which stays in memory for as long as anybody refers to it.

    Raises:
        whatever `tables` raises.
    """
    with _LOADING:
        found = _HELD.get(lookup)
        if found is None:
            found = _HELD[lookup] = tables.load(lookup)
        return found


def answering_table(lookup: LookupSpec, tables: Tables) -> Answering:
    """What answers events for a lookup: its table, or the versions of one in a store by their releases.

    Raises:
        whatever `tables` raises.
    """
    if lookup.stored is None:
        return held_table(lookup, tables)
    return TimedTable(lookup, lookup.stored.releases)


def hold(lookup: LookupSpec, table: AsOfTable) -> None:
    """Lets the steps of this process find a table that is read already."""
    with _LOADING:
        _HELD[lookup] = table
