"""`halflife models list`, `timeline` and `show`: what the store holds."""

import argparse
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from models.bundles.manifest import Manifest
from models.errors import BundleRefused
from models.profiles import MAX_PROFILE_BYTES, Column, NumericColumn, parse_profile
from models.releases.release import Release, release_document
from models.releases.timeline import release_in_force, roles_of, serving_order
from models.store.local_files import Odd
from models.store.store import ModelStore
from models.store.withdrawals import Withdrawal
from models.strict_json import parse_object
from pipeline.command_line.parsing import Arguments, OneLineParser, add_actor_option, add_store_options, instant
from pipeline.command_line.private_bundles import privacy_text
from pipeline.commands.models.location import find_location, refuse_absent, versions_meant
from pipeline.commands.output import exit_code, print_pairs, print_table
from pipeline.reporting.printer import note, print_json
from schemas import times

_READERS = 16


def list_versions(arguments: Arguments) -> int:
    """`halflife models list`; returns the exit code."""
    parser = OneLineParser("halflife models list", "List the versions of a model and the roles they have now.")
    add_store_options(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _list(options), options.verbose)


def timeline(arguments: Arguments) -> int:
    """`halflife models timeline`; returns the exit code."""
    parser = OneLineParser("halflife models timeline", "List all releases, and which of them is in force.")
    parser.add_argument(
        "--at", type=instant, default="now", metavar="TIME", help="event time to ask for, RFC 3339 or now (default)"
    )
    add_store_options(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _timeline(options), options.verbose)


def show(arguments: Arguments) -> int:
    """`halflife models show VERSION`; returns the exit code."""
    parser = OneLineParser("halflife models show", "Show a version's manifest, profile and quality.")
    parser.add_argument("version", metavar="VERSION", help="the version to show")
    add_actor_option(parser)
    add_store_options(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _show(options), options.verbose)


def _list(options: argparse.Namespace) -> None:
    store = find_location(options).store
    with ThreadPoolExecutor(_READERS) as readers:
        versions, odd = store.scan_versions()
        found = list(readers.map(lambda version: _summary(store, version), versions))
    in_force = release_in_force(store.releases(), times.now_us())
    roles = roles_of(in_force)
    withdrawals, odd_markers = store.scan_withdrawals()
    odd = {**odd, **odd_markers}
    found = _with_withdrawn(found, withdrawals)
    if not found:
        refuse_absent(options, store)
    for entry in found:
        entry["role"] = roles.get(str(entry["version"]))
    if options.json:
        sequence = None if in_force is None else in_force.sequence
        broken = [{"key": key, "problem": str(problem)} for key, problem in odd.items()]
        said = {"model": store.model, "store": store.url, "in_force": sequence, "versions": found, "broken": broken}
        print_json(said)
        return
    columns = ("version", "role", "scorer", "digest", "created_by", "trained_at", "problem")
    short = [{**entry, "digest": str(entry.get("digest") or "")[:12]} for entry in found]
    print_table(columns, [[entry.get(name) for name in columns] for entry in short], f"{store.model} in {store.url}")
    _say_odd(odd)


def _with_withdrawn(
    found: Sequence[dict[str, Any]], withdrawals: Mapping[str, Withdrawal]
) -> list[dict[str, Any]]:
    """The versions and the withdrawn ones, by name; for one that is both, the withdrawal was not completed."""
    entries = {str(entry["version"]): entry for entry in found}
    for version, withdrawal in withdrawals.items():
        half = "; not to the end: withdraw it again" if version in entries else ""
        known = {"version": version, "digest": withdrawal.digest, **entries.get(version, {})}
        entries[version] = {**known, "withdrawn": withdrawal.document(), "problem": f"{withdrawal}{half}"}
    return [entries[version] for version in sorted(entries)]


def _say_odd(odd: Mapping[str, Odd]) -> None:
    """The objects in a store that are not files of one."""
    for key, problem in odd.items():
        note(f"{key}: {problem}; it is passed over; next: delete it")


def _summary(store: ModelStore, version: str) -> dict[str, Any]:
    """The summary of a version in a list; `problem` where its manifest is not valid."""
    try:
        manifest = store.read_manifest(version)
    except BundleRefused as refusal:
        return {"version": version, "digest": None, "problem": f"{refusal.reason}: {refusal}"}
    return {
        "version": version,
        "digest": manifest.digest,
        "scorer": manifest.scorer,
        "created_by": manifest.created_by,
        "trained_at": manifest.training["trained_at"],
        "quality": dict(manifest.quality),
    }


def _timeline(options: argparse.Namespace) -> None:
    store = find_location(options).store
    scan = store.scan_releases()
    if not scan.releases:
        refuse_absent(options, store)
    in_force = release_in_force(scan.releases, options.at)
    releases = serving_order(scan.releases)
    broken = [{"sequence": sequence, "problem": str(error)} for sequence, error in scan.broken.items()]
    odd = [{"key": key, "problem": str(problem)} for key, problem in scan.odd.items()]
    if options.json:
        print_json(
            {
                "model": store.model,
                "store": store.url,
                "at": times.format_time_us(options.at),
                "in_force": None if in_force is None else in_force.sequence,
                "releases": [release_document(each) for each in releases],
                "broken": [*broken, *odd],
            }
        )
        return
    rows = [_row(each, in_force) for each in releases]
    rows += [[entry["sequence"], "", "", f"unreadable: {entry['problem']}"] for entry in broken]
    names = ("release", "effective from", "", "champion", "challengers", "shadows", "by", "reason")
    print_table(names, rows, f"{store.model} in {store.url}, at {times.format_time_us(options.at)}")
    _say_odd(scan.odd)


def _row(release: Release, in_force: Release | None) -> list[object]:
    return [
        release.sequence,
        times.format_time_us(release.effective_from_us),
        "in force" if release == in_force else "",
        release.champion,
        ", ".join(f"{each.version} {each.share:.4g}" for each in release.challengers),
        ", ".join(release.shadows),
        release.by,
        release.reason,
    ]


def _show(options: argparse.Namespace) -> None:
    store = find_location(options).store
    if not store.has_version(options.version):
        refuse_absent(options, store)
    # The access is recorded first: if that fails, nothing is shown.
    store.record_access("show", options.by, version=options.version)
    with versions_meant(store, options.version):
        manifest = store.read_manifest(options.version)
    role = roles_of(release_in_force(store.releases(), times.now_us())).get(manifest.version)
    profile = _profile(store, manifest)
    if options.json:
        print_json(
            {
                "digest": manifest.digest,
                "role": role,
                "manifest": parse_object(manifest.raw),
                "profile": [{"name": each.name, "n": each.n, "nulls": each.nulls, **_spread(each)} for each in profile],
            }
        )
        return
    training = manifest.training
    print_pairs(
        [
            ("version", f"{manifest.model} {manifest.version}"),
            ("role now", role or "none"),
            ("digest", manifest.digest),
            ("scorer", manifest.scorer),
            ("output", " ".join(f"{name} {value}" for name, value in _output(manifest))),
            ("created by", manifest.created_by),
            *((name.replace("_", " "), _text(training.get(name))) for name in _TRAINING),
            *((f"data {number}", _text(data)) for number, data in enumerate(training.get("data", ()), start=1)),
            *((f"quality {name}", _text(value)) for name, value in manifest.quality.items() if name != "by_segment"),
            ("made by", " ".join(f"{name} {found}" for name, found in manifest.libraries.items())),
            ("accepted here", " ".join(f"{name} {found}" for name, found in manifest.accepted_libraries.items())),
            ("golden records", f"{manifest.golden.file} by {manifest.golden.by}" if manifest.golden else "none"),
            ("privacy", privacy_text(manifest)),
            ("files", len(manifest.files)),
        ]
    )
    inputs = [[each.name, each.type, "yes" if each.nullable else "", each.default] for each in manifest.inputs]
    print_table(("input", "type", "nullable", "default"), inputs)
    if profile:
        rows = [[each.name, each.n, each.nulls, *_spread(each).values()] for each in profile]
        print_table(("profile of", "rows", "nulls", "least", "mean", "greatest", "most frequent"), rows)


_TRAINING = ("trained_at", "code", "parameters", "hyperparameters", "records", "decision")


def _output(manifest: Manifest) -> list[tuple[str, object]]:
    output = manifest.output
    pairs = (("", output.kind), ("threshold", output.threshold), ("positive", output.positive))
    return [(name, value) for name, value in pairs if value is not None]


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={each}" for name, each in value.items() if each is not None)
    return "" if value is None else str(value)


def _profile(store: ModelStore, manifest: Manifest) -> tuple[Column, ...]:
    if manifest.profile is None:
        return ()
    return parse_profile(store.read_file(manifest, manifest.profile, MAX_PROFILE_BYTES)).columns


def _spread(column: Column) -> dict[str, object]:
    """Least, mean and greatest value of numbers, the most frequent values of texts and booleans."""
    if isinstance(column, NumericColumn):
        numbers = {"min": column.min, "mean": column.mean, "max": column.max}
        return {name: None if value is None else float(f"{value:.6g}") for name, value in numbers.items()} | {"top": ""}
    return {"min": None, "mean": None, "max": None, "top": ", ".join(column.values[:5])}
