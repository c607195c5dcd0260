"""The table that a verb works on: its name, and the store that an option or a job names."""

import argparse
from collections.abc import Mapping
from typing import Any

from models.errors import StoreError
from models.store.backends import InvalidStoreUrl
from models.tables.table_store import TableStore, tables_in_store
from pipeline.command_line.parsing import add_output_options, add_settings_option
from pipeline.spec.environment import JOB, STORE
from pipeline.spec.job import with_defaults
from pipeline.spec.reading import read_spec
from schemas.expectations import did_you_mean
from schemas.times import parse_duration_us
from schemas.validation import MISSING, SpecError


def add_table_options(parser: argparse.ArgumentParser, name_required: bool = True) -> None:
    """`--name`, and where the store is: `--store`, or `--job`, from which it is taken."""
    parser.add_argument("--name", required=name_required, metavar="TABLE", help="the table's name")
    parser.add_argument(
        "--store", metavar="URL",
        help=f"the store: a path, s3://, gs:// or az:// URL (default: that of a given --job, else {STORE})",
    )  # fmt: skip
    parser.add_argument(
        "--job", metavar="FILE",
        help=f"take the store, and the poll interval, from this job spec (default: {JOB}, unless --store is given)",
    )  # fmt: skip
    add_settings_option(parser)
    parser.set_defaults(model="")  # no model is needed, so none is looked for in the environment's job
    add_output_options(parser)


def store_url(options: argparse.Namespace) -> str:
    """The store's URL, and in `options.poll` the poll interval of the job where none is given.

    Raises:
        SpecError: neither option is given, or the job spec is wrong.
        InvalidStoreUrl: the store would end with this process.
    """
    spec: Mapping[str, Any] = {}
    if options.job is not None:
        spec, problems = read_spec(options.job, options.settings)
        problems.check()
    elif options.settings:
        raise SpecError("--set", options.settings[0], "only together with --job")
    model = with_defaults(spec, "model")
    url = options.store or model.get("store")
    if url is None:
        where = f"or {STORE} or {JOB} in the environment"
        raise SpecError("--store", MISSING, f"a value, or --job FILE to take it from, {where}")
    if str(url).startswith("memory:"):
        raise InvalidStoreUrl(f"store {url!r} ends with this process; expected: a path, s3://, gs:// or az:// URL")
    if getattr(options, "poll", None) is None:
        options.poll = parse_duration_us(model["poll"])
    return str(url)


def table_store(options: argparse.Namespace) -> TableStore:
    """The table that the options name. Raises as `store_url`, and `StoreError` for a name that is not allowed."""
    return TableStore(store_url(options), options.name)


def refuse_unknown(table: TableStore) -> None:
    """Raises `StoreError` for a table that the store does not have; another name may have been meant."""
    known = tables_in_store(table.url)
    if table.table not in known:
        there = ", ".join(known[:20]) or "none yet; next: halflife tables publish"
        found = f"{table.url}: there is no table {table.table!r}"
        raise StoreError(f"{found}; expected: one of {there}{did_you_mean(table.table, known)}")
