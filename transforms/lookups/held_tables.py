"""The tables that a process holds: each once, however many of its threads and steps join it."""

from threading import Lock
from typing import Protocol
from weakref import WeakValueDictionary

from schemas.job import LookupSpec
from transforms.lookups.as_of import AsOfTable


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


def hold(lookup: LookupSpec, table: AsOfTable) -> None:
    """Lets the steps of this process find a table that is read already."""
    with _LOADING:
        _HELD[lookup] = table
