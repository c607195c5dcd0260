"""What the tables of lookups hold, and how many events of a sample have a row in each."""

from collections.abc import Iterator, Sequence

from pipeline.endpoints.sources import EventSource, Messages
from pipeline.preflight.decoding import sampled_blocks
from runners.findings import Finding, ok, warn
from schemas.job import EventsSpec, LookupSpec
from schemas.times import now_us
from transforms.decoding.decode_raw import decode_raw
from transforms.decoding.deriving import chosen
from transforms.lookups.as_of import AsOfTable
from transforms.lookups.joining import with_lookups
from transforms.lookups.timed_table import TimedTable

_ENOUGH_EVENTS = 1_000
_MIB = 1024**2


def check_lookups(source: EventSource, spec: EventsSpec, tables: Sequence[AsOfTable | TimedTable]) -> Iterator[Finding]:
    """A finding for each table. `tables`: of `spec.lookups`, in their order; none where the input is empty.

    Raises:
        OSError: a file of the events cannot be read.
    """
    if not tables:
        return
    events, without = 0, dict[str, int]()
    for block, _ in () if isinstance(source, Messages) else sampled_blocks(source, spec):
        found = decode_raw(block, spec, now_us()).events
        if found is not None:
            found = found if spec.where is None else chosen(found, spec.where)
            events += found.num_rows
            for lookup, table in zip(spec.lookups, tables, strict=True):
                lost = with_lookups(found, [lookup], [table]).without
                without[lookup.name] = without.get(lookup.name, 0) + lost.get(lookup.name, 0)
        if events >= _ENOUGH_EVENTS:
            break
    for lookup, table in zip(spec.lookups, tables, strict=True):
        having = events - without.get(lookup.name, 0)
        said = f"{_held(lookup, table)}; {having:,} of {events:,} events of a sample have a row"
        if events and not having:
            yield warn(f"lookups {lookup.name}", said, "a table whose key has the values that events have in `on`")
        else:
            yield ok(f"lookups {lookup.name}", said)


def _held(lookup: LookupSpec, table: AsOfTable | TimedTable) -> str:
    """What a process holds of a table; of one in a store of the version that holds last."""
    releases, version = "", lookup.version
    if isinstance(table, TimedTable):
        number, (last, table) = len(table.releases), table.last()
        releases, version = f"{number:,} releases in the store, the last of ", last.version
    rows = f"{table.num_rows:,} rows of {table.num_keys:,} keys, {table.nbytes / _MIB:,.1f} MiB in each process"
    return f"{releases}version {version}: {rows}"
