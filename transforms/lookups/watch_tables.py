"""WatchTables: new releases of tables in the store, each version checked before it may answer."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from functools import partial
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec

from models.daemons import DaemonThreads
from models.errors import BundleRefused, StoreError, one_line
from models.releases.release import Release
from models.tables.table_store import TableStore
from schemas.job import LookupSpec, TableRefusal, TableRelease
from schemas.records import record_batch
from schemas.times import now_us
from transforms.flow import metrics
from transforms.flow.state import Plain, VersionedStateCoder
from transforms.lookups.stored_versions import HELD_VERSIONS, load_version, version_of_release
from transforms.lookups.table_events import table_events

TABLE_EVENTS = "table_events"
INVALID_RELEASE = "invalid_release"
_PROGRESS_VERSION = 1
_THREADS = 2
_LOG = logging.getLogger(__name__)
Outcome = TableRelease | TableRefusal


class TableProgress(NamedTuple):
    """What a watcher has seen of a table: the sequence up to which all releases are decided, and those after it that
    are decided already, or cannot be read."""

    last: int
    beyond: tuple[int, ...] = ()


class ReleasedTable(NamedTuple):
    """A release of the table of a lookup, whose version passed every check."""

    lookup: str
    release: TableRelease


class _TableWatcher:
    """Looks for new releases of one lookup's table, and checks their versions in the background, poll by poll."""

    def __init__(self, lookup: LookupSpec, patience_s: float) -> None:
        assert lookup.stored is not None
        self._patience_s = patience_s
        self._lookup, self._stored = lookup, lookup.stored
        self._store = TableStore(self._stored.store, self._stored.table)
        self._threads: DaemonThreads[Outcome] = DaemonThreads(_THREADS, "check-table")
        self._deciding: dict[int, Future[Outcome]] = {}

    def poll(self, seen: TableProgress) -> tuple[list[Outcome], TableProgress]:
        """The releases that were decided since the poll before. Raises `StoreError` where the store does not answer."""
        scan = self._store.scan_releases(seen.last, frozenset(seen.beyond))
        decided: dict[int, Outcome] = {
            sequence: TableRefusal(sequence, None, INVALID_RELEASE, str(error))
            for sequence, error in scan.broken.items()
        }
        waiting = [release for release in scan.releases if release.sequence not in seen.beyond]
        for release in waiting:
            if release.sequence not in self._deciding:
                self._deciding[release.sequence] = self._threads.submit(partial(self._decide, release))
        wait(self._deciding.values(), timeout=self._patience_s)
        for release in waiting:
            if (outcome := self._outcome(release)) is not None:
                decided[release.sequence] = outcome
        beyond = {*seen.beyond, *decided}
        pending = [release.sequence for release in waiting if release.sequence not in decided]
        known = [release.sequence for release in scan.releases if not pending or release.sequence < min(pending)]
        last = max([seen.last, *known])  # of valid releases: those that cannot be read are after it for ever
        return list(decided.values()), TableProgress(last, tuple(sorted(each for each in beyond if each > last)))

    def _outcome(self, release: Release) -> Outcome | None:
        """The decision on a release; None while its version is checked, or the store does not answer."""
        found = self._deciding[release.sequence]
        if not found.done():
            return None
        del self._deciding[release.sequence]
        try:
            return found.result()
        except StoreError as error:
            _LOG.warning("release %s of table %s waits: %s", release.sequence, self._store.table, one_line(error))
            return None

    def _decide(self, release: Release) -> Outcome:
        try:
            digest = self._store.read_manifest(release.champion).digest
            found = TableRelease(
                release.sequence, release.effective_from_us, release.champion, digest, release.by, release.reason
            )
            wanted = version_of_release(self._lookup, found)
            HELD_VERSIONS.hold(wanted, load_version(wanted))  # the steps that join it may be in this process
        except BundleRefused as refusal:
            return TableRefusal(release.sequence, release.champion, refusal.reason, str(refusal))
        return found


class _WatchTablesFn(beam.DoFn):
    """One key for the one watcher of each lookup; its progress survives in state."""

    PROGRESS = ReadModifyWriteStateSpec(
        "tables_seen", VersionedStateCoder("tables_seen", _PROGRESS_VERSION, Plain(TableProgress))
    )

    def __init__(self, lookups: Mapping[str, LookupSpec], poll_us: int) -> None:
        self._lookups, self._poll_us = dict(lookups), poll_us

    def setup(self) -> None:
        # What is decided within half a poll interval is emitted now, and the next poll is still on time.
        patience_s = self._poll_us / 2e6
        self._watchers = {name: _TableWatcher(lookup, patience_s) for name, lookup in self._lookups.items()}

    def process(  # type: ignore[no-untyped-def]  # Beam passes state through defaults
        self, element: tuple[str, Any], seen=beam.DoFn.StateParam(PROGRESS)
    ) -> Iterator[Any]:
        name = element[0]
        stored = self._lookups[name].stored
        assert stored is not None
        began = TableProgress(stored.last)
        before = max(seen.read() or began, began, key=lambda each: each.last)  # what the job began with is decided
        try:
            decided, after = self._watchers[name].poll(before)
        except StoreError as error:
            metrics.counter(metrics.POLLS_FAILED).inc()
            _LOG.warning("no new releases of table %s: %s", stored.table, one_line(error))
            return
        seen.write(after)
        admitted = [each for each in decided if isinstance(each, TableRelease)]
        refused = [each for each in decided if isinstance(each, TableRefusal)]
        metrics.counter(metrics.TABLES_ADMITTED).inc(len(admitted))
        metrics.counter(metrics.TABLES_REFUSED).inc(len(refused))
        yield from (ReleasedTable(name, each) for each in admitted)
        events = table_events(stored, admitted, refused, now_us())
        if events:
            yield beam.pvalue.TaggedOutput(TABLE_EVENTS, record_batch("ModelEvent", events))


def _each(tick: Any, names: Sequence[str]) -> list[tuple[str, int]]:
    return [(name, 0) for name in names]


class WatchedTables(NamedTuple):
    """`released`: each release whose version passed its checks, once; `events`: batches of ModelEvent."""

    released: beam.PCollection[ReleasedTable]
    events: beam.PCollection[pa.RecordBatch]


class WatchTables(beam.PTransform[beam.pvalue.PBegin, WatchedTables]):
    """What is new in the timelines of the lookups' tables, after what the job began with.

    Input: the pipeline's begin. Outputs: see `WatchedTables`. Each poll lists every table; a version is read and
    checked in the background, and its release comes with the first poll after that. State, under the name of each
    lookup: what
    is decided already.
    """

    def __init__(self, lookups: Mapping[str, LookupSpec], poll_us: int) -> None:
        super().__init__()
        self._lookups, self._poll_us = dict(lookups), poll_us

    def expand(self, begin: beam.pvalue.PBegin):  # type: ignore[no-untyped-def]  # Beam warns on NamedTuple hints
        ticks = begin | "TickTables" >> PeriodicImpulse(fire_interval=self._poll_us / 1e6)
        each = beam.FlatMap(_each, tuple(self._lookups)).with_output_types(tuple[str, int])
        keyed = ticks | "EachTable" >> each
        watch = beam.ParDo(_WatchTablesFn(self._lookups, self._poll_us)).with_outputs(TABLE_EVENTS, main="released")
        watched = keyed | "WatchTable" >> watch
        watched.released.element_type = ReleasedTable
        watched[TABLE_EVENTS].element_type = pa.RecordBatch
        return WatchedTables(watched.released, watched[TABLE_EVENTS])
