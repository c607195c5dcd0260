"""The versions of tables in a store: read, checked and held by each process, each once."""

from collections import OrderedDict
from concurrent.futures import Future
from functools import partial
from io import BytesIO
from threading import Lock
from typing import ClassVar, NamedTuple

import pyarrow as pa

from models.bundles.folders import BundleTooLarge, WrongDigest
from models.bundles.inputs import WrongInputs
from models.daemons import DaemonThreads
from models.errors import BundleRefused, one_line
from models.tables.table_manifest import TableManifest
from models.tables.table_store import DATA, TableStore
from schemas.batches import keys_of
from schemas.columns import ARROW_TYPES, TAKES, TIMESTAMP
from schemas.job import LookupSpec, TableRelease
from transforms.lookups.as_of import AsOfTable, RepeatedRow

MOST_HELD = 8
"""How many versions of all tables a process keeps that no batch needs just now; the least recently used go first."""
_THREADS = 2


class BadTable(BundleRefused):
    """The rows of a version are not those that its manifest states, or do not say which row an event has."""

    reason: ClassVar[str] = "bad_table"


class Version(NamedTuple):
    """What names a version in a process: its table, itself, and what a lookup reads of it."""

    store: str
    table: str
    version: str
    digest: str
    columns: tuple[tuple[str, str], ...]
    on: int
    max_rows: int


def version_of_release(lookup: LookupSpec, release: TableRelease) -> Version:
    """The version that a release puts in force for a lookup."""
    assert lookup.stored is not None
    on = 1 if isinstance(lookup.on, str) else len(lookup.on)
    of = (lookup.stored.store, lookup.stored.table, release.version, release.digest)
    return Version(*of, lookup.columns, on, lookup.max_rows)


def load_version(wanted: Version) -> AsOfTable:
    """A version of a table, every check of it passed.

    Raises:
        BundleRefused: it cannot be joined: `incomplete`, `invalid_manifest`, `wrong_digest`, `wrong_inputs`,
            `too_large` or `bad_table`.
        StoreUnavailable: the store did not answer.
    """
    store = TableStore(wanted.store, wanted.table)
    manifest = store.read_manifest(wanted.version)
    where = f"{store.url}: version {manifest.version!r} of table {manifest.table!r}"
    if manifest.digest != wanted.digest:
        raise WrongDigest(f"{where}: manifest has sha256 {manifest.digest}; expected: {wanted.digest}")
    check_fits(manifest, wanted, where)
    rows = _rows(store.read_data(manifest), manifest, wanted, where)
    since = None if manifest.valid_from is None else rows.column(manifest.valid_from)
    keys = keys_of(rows, manifest.key)
    if keys.null_count or (since is not None and since.null_count):
        raise BadTable(f"{where}: a row has no key or no time; expected: both, in every row of {DATA}")
    try:
        return AsOfTable(keys, since, rows.select([name for name, _ in wanted.columns]))
    except RepeatedRow as error:
        raise BadTable(f"{where}: {one_line(error)}") from None


def check_fits(manifest: TableManifest, wanted: Version, where: str) -> None:
    """Raises `WrongInputs`, `BundleTooLarge` for a version that a lookup cannot join, by its manifest."""
    if len(manifest.key) != wanted.on:
        found = f"{where} has a key of {len(manifest.key)} columns ({', '.join(manifest.key)})"
        raise WrongInputs(f"{found}; expected: {wanted.on}, as many as `on` names")
    has = dict(manifest.columns)
    for name, kind in wanted.columns:
        if name not in has or has[name] not in TAKES[kind]:
            found = f"{where}: {name} is {has.get(name, 'no column of it')}"
            raise WrongInputs(f"{found}; expected: {kind}, as the job began with")
    if manifest.rows > wanted.max_rows:
        found = f"{where} has {manifest.rows:,} rows"
        raise BundleTooLarge(f"{found}; allowed: at most {wanted.max_rows:,}, which are max_rows of the lookup")


def _rows(raw: bytes, manifest: TableManifest, wanted: Version, where: str) -> pa.RecordBatch:
    """The key, the time and the wanted columns, in the kinds that the lookup reads."""
    import pyarrow.parquet as pq

    timed = [] if manifest.valid_from is None else [manifest.valid_from]
    names = [*manifest.key, *timed, *(name for name, _ in wanted.columns)]
    kinds = {**dict(wanted.columns), **dict.fromkeys(timed, TIMESTAMP)}
    try:
        found = pq.read_table(BytesIO(raw), columns=names)
        types = [ARROW_TYPES[kinds[name]] if name in kinds else found.schema.field(name).type for name in names]
        rows = found.select(names).cast(pa.schema(zip(names, types, strict=True))).combine_chunks()
    except (pa.ArrowException, OSError, KeyError) as error:
        raise BadTable(f"{where}: {DATA} cannot be read: {one_line(error)}; expected: what publish wrote") from None
    if rows.num_rows != manifest.rows:
        raise BadTable(f"{where}: {DATA} has {rows.num_rows:,} rows; expected: {manifest.rows:,}")
    whole = rows.to_batches(max_chunksize=max(rows.num_rows, 1))
    if len(whole) != 1:
        raise BundleTooLarge(f"{where}: a column has more than 2 GiB of text; expected: fewer columns, or less text")
    return whole[0]


class HeldVersions:
    """The versions that a process holds; threads may share it. What nobody asks for any more is let go, beyond
    `MOST_HELD`."""

    def __init__(self) -> None:
        self._loads: OrderedDict[Version, Future[AsOfTable]] = OrderedDict()
        self._lock = Lock()
        self._threads: DaemonThreads[AsOfTable] = DaemonThreads(_THREADS, "load-table")

    def begin(self, wanted: Version) -> "Future[AsOfTable]":
        """The load of a version, which begins in the background unless it has begun, or is done, already."""
        with self._lock:
            found = self._loads.get(wanted)
            if found is None or (found.done() and found.exception() is not None):  # the next look tries again
                found = self._loads[wanted] = self._threads.submit(partial(load_version, wanted))
            self._loads.move_to_end(wanted)
            idle = [each for each, load in self._loads.items() if load.done()]
            for each in idle[: max(len(idle) - MOST_HELD, 0)]:
                del self._loads[each]
            return found

    def hold(self, wanted: Version, table: AsOfTable) -> None:
        """Keeps a version that is read already."""
        held: Future[AsOfTable] = Future()
        held.set_result(table)
        with self._lock:
            self._loads[wanted] = held

    def now(self, wanted: Version) -> AsOfTable | None:
        """The version, if it is loaded; else its load begins."""
        found = self.begin(wanted)
        return found.result() if found.done() and found.exception() is None else None

    def awaited(self, wanted: Version) -> AsOfTable:
        """The version, for which this waits. Raises as `load_version`."""
        return self.begin(wanted).result()


HELD_VERSIONS = HeldVersions()
