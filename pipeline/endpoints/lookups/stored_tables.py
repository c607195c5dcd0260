"""Lookups of tables in the store: the timeline as it is when a job starts, every version of it checked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from models.errors import BundleRefused, StoreError
from models.releases.release import Release
from models.releases.timeline import serving_order
from models.store.release_log import ReleaseScan
from models.tables.table_manifest import TableManifest
from models.tables.table_store import TableStore, tables_in_store
from pipeline.endpoints.lookups.table_files import TableRefused
from pipeline.reporting.printer import note
from pipeline.spec.columns import columns_of_key, key_of
from schemas.columns import TAKES
from schemas.expectations import did_you_mean
from schemas.job import LookupSpec, StoredTable, TableRefusal, TableRelease
from schemas.keys import defaults_of
from schemas.validation import SpecError
from transforms.lookups.stored_versions import HELD_VERSIONS, load_version, version_of_release
from transforms.lookups.timed_table import TimedTable

INVALID_RELEASE = "invalid_release"
_DEFAULTS = defaults_of("job")


def opened_stored(
    path: str, lookup: Mapping[str, Any], read: Sequence[str], store_url: str
) -> tuple[LookupSpec, TimedTable]:
    """A lookup of a table in a store, with the releases that every check was passed for; a refused one is noted.

    Args:
        read: the columns that the job reads.

    Raises:
        SpecError: no version of the table has the columns.
        TableRefused: the table has no release whose version can be joined.
        StoreError: the store does not answer, or the name is not allowed.
    """
    try:
        table = TableStore(store_url, lookup["table"]["store"])
    except StoreError as error:
        raise SpecError(f"{path}.table.store", lookup["table"]["store"], str(error)) from None
    scan = table.scan_releases()
    if not scan.releases and not scan.broken:
        said, advice = _unreleased(table)
        raise TableRefused(f"{path}.table.store: {said}; next: {advice}")
    spec = _spec(path, lookup, read, table, serving_order(scan.releases))
    admitted, refused = _checked(spec, table, scan)
    if not admitted:
        why = "; ".join(f"release {each.sequence}: {each.reason}: {each.detail}" for each in refused[-3:])
        found = f"{path}.table.store: no version of table {table.table!r} can be joined: {why}"
        raise TableRefused(f"{found}; next: halflife tables publish, then release, a version that can")
    for each in refused:
        said = f"lookup {spec.name}: release {each.sequence} of the table changes nothing: {each.reason}"
        note(f"{said}: {each.detail}")
    stored = StoredTable(table.url, table.table, tuple(admitted), tuple(refused), scan.last)
    whole = replace(spec, stored=stored)
    return whole, TimedTable(whole, admitted)


def _unreleased(table: TableStore) -> tuple[str, str]:
    """What is there instead of a release, and what is to be done."""
    known = tables_in_store(table.url)
    if table.table in known:
        advice = f"halflife tables release --store {table.url} --name {table.table} --version V"
        return f"table {table.table!r} in {table.url} has no release", advice
    hint = did_you_mean(table.table, known)
    there = f"name one of {', '.join(known[:20])}{hint}" if known else "halflife tables publish"
    return f"there is no table {table.table!r} in {table.url}", there


def _spec(
    path: str, lookup: Mapping[str, Any], read: Sequence[str], table: TableStore, ordered: Sequence[Release]
) -> LookupSpec:
    """The lookup with the kinds of its columns, which are stated, or those of the last version that has them all."""
    stated, on = lookup["columns"], columns_of_key(lookup["on"])
    found: TableManifest | None = None
    for manifest in _manifests(table, ordered):
        fits = len(manifest.key) == len(on) and set(read) <= set(dict(manifest.columns))
        found = manifest if fits or found is None else found
        if fits:
            break
    has = dict(found.columns) if found else {}
    for at, name in enumerate(stated):
        wanted = stated[name] if isinstance(stated, Mapping) else has.get(name)
        if found is not None and name in read and (name not in has or has[name] not in TAKES[str(wanted)]):
            where = f"{path}.columns.{name}" if isinstance(stated, Mapping) else f"{path}.columns[{at}]"
            there = ", ".join(f"{column}: {kind}" for column, kind in has.items())
            allowed = f"a column of version {found.version} of table {table.table}: {there}"
            raise SpecError(where, wanted if name in has else name, f"{allowed}{did_you_mean(name, has)}")
    kinds = stated if isinstance(stated, Mapping) else has
    return LookupSpec(
        name=lookup["name"],
        on=key_of(lookup["on"]),
        key=(),
        valid_from=None,
        columns=tuple((name, kinds[name]) for name in read if name in kinds),
        refuses=lookup.get("missing", _DEFAULTS["lookups[].missing"]) == "refuse",
        max_rows=lookup.get("max_rows", _DEFAULTS["lookups[].max_rows"]),
        version="",
        records=None,
        paths=(),
        stored=StoredTable(table.url, table.table),
    )


def _manifests(table: TableStore, ordered: Sequence[Release]) -> Iterator[TableManifest]:
    """Those of the releases that have a valid one, the last first."""
    for release in reversed(ordered):
        try:
            yield table.read_manifest(release.champion)
        except BundleRefused:
            continue


def _checked(
    spec: LookupSpec, table: TableStore, scan: ReleaseScan
) -> tuple[list[TableRelease], list[TableRefusal]]:
    """The releases whose version passes every check, in the order in which they hold, and the others with the reason of
    each. A version of several releases is read once."""
    admitted, known = list[TableRelease](), dict[str, str | BundleRefused]()
    refused = [TableRefusal(sequence, None, INVALID_RELEASE, str(error)) for sequence, error in scan.broken.items()]
    for release in serving_order(scan.releases):
        name = release.champion
        if name not in known:
            known[name] = _digest_or_refusal(spec, table, release)
        outcome = known[name]
        if isinstance(outcome, BundleRefused):
            refused.append(TableRefusal(release.sequence, name, outcome.reason, str(outcome)))
        else:
            admitted.append(as_table_release(release, outcome))
    return admitted, refused


def as_table_release(release: Release, digest: str) -> TableRelease:
    """The release of a table whose version has this digest."""
    of = (release.sequence, release.effective_from_us, release.champion, digest)
    return TableRelease(*of, by=release.by, reason=release.reason)


def _digest_or_refusal(spec: LookupSpec, table: TableStore, release: Release) -> str | BundleRefused:
    try:
        digest = table.read_manifest(release.champion).digest
        wanted = version_of_release(spec, as_table_release(release, digest))
        HELD_VERSIONS.hold(wanted, load_version(wanted))
    except BundleRefused as refusal:
        return refusal
    return digest
