"""`halflife tables list` and `timeline`: what the store holds of tables."""

import argparse
from typing import Any

from models.errors import BundleRefused
from models.releases.release import Release
from models.releases.timeline import serving_order
from models.tables.table_store import TableStore, tables_in_store
from pipeline.command_line.parsing import Arguments, OneLineParser, moment
from pipeline.commands.output import exit_code, print_table
from pipeline.commands.tables.location import add_table_options, refuse_unknown, store_url, table_store
from pipeline.commands.tables.release import shown
from pipeline.reporting.printer import print_json
from schemas.times import format_time_us, now_us


def list_tables(arguments: Arguments) -> int:
    """`halflife tables list`; returns the exit code."""
    parser = OneLineParser("halflife tables list", "The tables of a store, or the versions of one.")
    add_table_options(parser, name_required=False)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _list(options), options.verbose)


def timeline(arguments: Arguments) -> int:
    """`halflife tables timeline`; returns the exit code."""
    parser = OneLineParser("halflife tables timeline", "The releases of a table in the order in which they hold.")
    parser.add_argument("--at", type=moment, metavar="TIME", default="now", help="in force at this time (default: now)")
    add_table_options(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _timeline(options), options.verbose)


def _list(options: argparse.Namespace) -> None:
    if options.name is None:
        url = store_url(options)
        names = tables_in_store(url)
        if options.json:
            print_json({"store": url, "tables": names})
        else:
            print_table(("table", "versions"), [[name, len(TableStore(url, name).versions())] for name in names], url)
        return
    store = table_store(options)
    refuse_unknown(store)
    found = [_summary(store, version) for version in store.versions()]
    holding = _in_force(store.scan_releases().releases, now_us())
    if options.json:
        in_force = None if holding is None else holding.sequence
        print_json({"table": store.table, "store": store.url, "in_force": in_force, "versions": found})
        return
    rows = [
        [one["version"], "in force" if holding and one["version"] == holding.champion else "", one.get("rows"),
         ", ".join(one.get("columns", ())), one.get("created_by"), one.get("created_at"), one.get("problem")]
        for one in found
    ]  # fmt: skip
    print_table(("version", "", "rows", "columns", "by", "at", "problem"), rows, f"{store.table} in {store.url}")


def _summary(store: TableStore, version: str) -> dict[str, Any]:
    try:
        return store.read_manifest(version).document()
    except BundleRefused as refusal:
        return {"version": version, "problem": f"{refusal.reason}: {refusal}"}


def _in_force(releases: tuple[Release, ...], at_us: int) -> Release | None:
    """The last that has begun; before the first none holds."""
    begun = [each for each in serving_order(releases) if each.effective_from_us <= at_us]
    return begun[-1] if begun else None


def _timeline(options: argparse.Namespace) -> None:
    store = table_store(options)
    refuse_unknown(store)
    scan = store.scan_releases()
    holding = _in_force(scan.releases, options.at)
    ordered = serving_order(scan.releases)
    broken: list[dict[str, Any]] = [{"sequence": n, "problem": str(error)} for n, error in scan.broken.items()]
    broken += [{"key": key, "problem": str(problem)} for key, problem in scan.odd.items()]
    if options.json:
        in_force = None if holding is None else holding.sequence
        said = {"table": store.table, "store": store.url, "at": format_time_us(options.at), "in_force": in_force}
        print_json({**said, "releases": [shown(each) for each in ordered], "broken": broken})
        return
    rows = [
        [each.sequence, format_time_us(each.effective_from_us), "in force" if each == holding else "", each.champion,
         each.by, each.reason]
        for each in ordered
    ]  # fmt: skip
    rows += [[each.get("sequence", ""), "", "", f"unreadable: {each['problem']}", "", ""] for each in broken]
    title = f"{store.table} in {store.url}, at {format_time_us(options.at)}"
    print_table(("release", "effective from", "", "version", "by", "reason"), rows, title)
