"""`halflife tables publish`: files with a table become a version of it."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from models.tables.table_manifest import TableManifest
from models.tables.table_store import DATA
from pipeline.command_line.parsing import Arguments, OneLineParser, add_actor_option, positive
from pipeline.commands.output import exit_code, print_pairs
from pipeline.commands.tables.location import add_table_options, table_store
from pipeline.reporting.printer import print_json
from schemas.columns import ALLOWED, KINDS
from schemas.expectations import wants
from schemas.keys import defaults_of
from schemas.times import format_time_us, now_us
from schemas.validation import SpecError
from schemas.vectors import vector_of

_FORM = ("format", "valid_from", "time_format", "time_unit", "time_zone", "time_ambiguous")
_MOST_ROWS = defaults_of("job")["lookups[].max_rows"]


def publish(arguments: Arguments) -> int:
    """`halflife tables publish FILE`; returns the exit code."""
    parser = OneLineParser("halflife tables publish", "Put files with a table into the store as a new version.")
    parser.add_argument("file", metavar="FILE", help="a file, folder or pattern, in any format that events may have")
    parser.add_argument("--version", metavar="V", help="its name (default: the beginning of the files' sha256)")
    parser.add_argument("--key", required=True, type=_names, metavar="COLUMN[,…]", help="the key: a column, or several")
    parser.add_argument("--valid_from", metavar="COLUMN", help="the time from which on a row holds (default: always)")
    parser.add_argument(
        "--columns", type=_columns, metavar="COLUMN[,…]",
        help="the other columns, each maybe with its type as year=integer (default: all that the files have)",
    )  # fmt: skip
    parser.add_argument("--format", metavar="FORMAT", help="the files' format (default: guessed)")
    for name, what in (
        ("time_format", "how times are written that are texts, as events.time_format"),
        ("time_unit", "the unit of times that are numbers: s, ms, us, ns or days"),
        ("time_zone", "the zone of times that state none (default: UTC)"),
        ("time_ambiguous", "what a time is that clocks show twice or never: earlier, later or refuse"),
    ):
        parser.add_argument(f"--{name}", metavar="TEXT", help=what)
    most = "how many rows it may have (default: %(default)s)"
    parser.add_argument("--max_rows", type=positive, default=_MOST_ROWS, metavar="N", help=most)
    add_actor_option(parser)
    add_table_options(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _publish(options), options.verbose)


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _columns(text: str) -> list[str] | dict[str, str]:
    """`year,seats`, or `year=integer,seats=number`."""
    pairs = [name.partition("=") for name in _names(text)]
    typed = [kind for _, sign, kind in pairs if sign]
    if not typed:
        return [name for name, _, _ in pairs]
    if len(typed) != len(pairs):
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; expected: a type for each column, or for none")
    for kind in typed:
        if kind not in KINDS and vector_of(kind) is None:
            raise argparse.ArgumentTypeError(f"type {kind!r} is not allowed; {wants(ALLOWED)}")
    return {name: kind for name, _, kind in pairs}


def _publish(options: argparse.Namespace) -> None:
    store = table_store(options)
    # Reading files imports Beam, which takes seconds: what is wrong with the options is told before.
    from pipeline.table_rows import read_for_store, say_keyless

    table: dict[str, Any] = {name: getattr(options, name) for name in _FORM if getattr(options, name) is not None}
    table |= {"uri": options.file, "key": options.key if len(options.key) > 1 else options.key[0]}
    _check_form(table)
    found = read_for_store(store.table, table, options.columns, options.max_rows)
    say_keyless(found)
    document = {
        **found.manifest(),
        "version": options.version or found.spec.version,
        "source": found.spec.files.uri,
        "created_by": options.by,
        "created_at": format_time_us(now_us()),
    }
    with TemporaryDirectory() as folder:
        data = Path(folder) / DATA
        found.write(data)
        manifest = store.publish(data, document)
    store.record_access("publish", options.by, version=manifest.version, digest=manifest.digest)
    _say(options, store.url, manifest)


def _check_form(table: dict[str, Any]) -> None:
    """Raises `SpecError` for an option that a spec would not allow."""
    from pipeline.spec.checks import time_form_errors
    from schemas.validation import all_errors

    lookup = {"name": "t", "table": table, "on": table["key"], "columns": ["c"]}
    for error in (*all_errors({"lookups": [lookup]}, "job"), *time_form_errors("lookups[0].table", table)):
        name = error.path.removeprefix("lookups[0].table.")
        if error.path.startswith("lookups[0].table."):
            raise SpecError("FILE" if name == "uri" else f"--{name}", error.value, error.allowed)


def _say(options: argparse.Namespace, url: str, manifest: TableManifest) -> None:
    if options.json:
        print_json({"table": manifest.table, "store": url, **manifest.document()})
        return
    columns = ", ".join(f"{name} {kind}" for name, kind in manifest.columns)
    print_pairs(
        [
            ("published", f"{manifest.table} {manifest.version} in {url}"),
            ("rows", f"{manifest.rows:,}"),
            ("key", ", ".join(manifest.key)),
            ("valid from", manifest.valid_from),
            ("columns", columns),
            ("digest", manifest.digest),
            ("next", f"halflife tables release --name {manifest.table} --version {manifest.version} --from TIME"),
        ]
    )
