"""Files with a table as a version of it in a store: read and checked as lookups of files are, written as Parquet."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.endpoints.files.other_formats import fill_in
from pipeline.endpoints.lookups.open_lookups import errors_of_table, spec_of_files
from pipeline.endpoints.lookups.table_files import TableRefused, read_rows
from pipeline.endpoints.matching import matching_files
from pipeline.endpoints.sample import stretches
from pipeline.endpoints.sources import Files
from pipeline.endpoints.uris import absolute
from pipeline.reporting.printer import note
from schemas.job import LookupSpec
from schemas.problems import SpecErrors
from schemas.validation import SpecError

_PATH = "publish"
# The section of a spec in messages, as the options of the verb.
_OPTIONS = (
    (re.compile(rf"{_PATH}\.table\.uri|(?<![\w/.])events\.uri"), "FILE"),
    (re.compile(r"(?<![\w/.])events\.csv\."), "CSV "),
    (re.compile(r"(?<![\w/.])events\.(\w+)"), r"--\1"),
    (re.compile(rf"{_PATH}\.table\.(\w+)"), r"--\1"),
    (re.compile(rf"{_PATH}\.columns(\[\d+\]|\.[^\s:]+)?"), "--columns"),
    (re.compile(r"lookups\[\]\.max_rows"), "--max_rows"),
)


@dataclass(frozen=True, slots=True)
class PublishedRows:
    """The rows of a table, with what its manifest says of them."""

    rows: pa.RecordBatch
    spec: LookupSpec
    keyless: int

    def manifest(self) -> dict[str, Any]:
        """The part of the manifest that the rows show."""
        key = [self.spec.key] if isinstance(self.spec.key, str) else list(self.spec.key)
        columns = {name: str(kind) for name, kind in self.spec.columns}
        rows, valid_from = self.rows.num_rows, self.spec.valid_from
        return {"format": 1, "key": key, "valid_from": valid_from, "columns": columns, "rows": rows}

    def write(self, path: Path) -> None:
        """Writes them as Parquet."""
        pq.write_table(pa.Table.from_batches([self.rows]), path, compression="zstd")


def read_for_store(
    name: str, table: Mapping[str, Any], columns: list[str] | dict[str, str] | None, max_rows: int
) -> PublishedRows:
    """The rows of files that are to be a version of the table `name`; `table` as in `lookups[].table` of a spec.

    Args:
        columns: those that the version has, maybe with their types; None: all but key and time.
        max_rows: how many rows it may have.

    Raises:
        SpecError: a column does not exist, or the files are in no format that is read.
        TableRefused, NoInput, OSError: they cannot be read, or not be joined.
    """
    own = {**table, "uri": absolute(table["uri"])}
    keys = [own["key"]] if isinstance(own["key"], str) else list(own["key"])
    with _said_as_options(), errors_of_table(_PATH):
        files = _files(own, keys[0])
        wanted = _all_columns(files, keys, own.get("valid_from")) if columns is None else columns
        lookup = {"name": name, "table": own, "on": own["key"], "columns": wanted, "max_rows": max_rows}
        # In CSV a key is the text that it is; events' keys are compared as texts, numbers too.
        spec = spec_of_files(_PATH, lookup, list(wanted), dict.fromkeys(keys, "string"))
        found = read_rows(spec)
        if not found.rows.num_rows:
            raise TableRefused(f"{spec.files.uri}: no row has a key; expected: a value in {', '.join(keys)}")
        found.table(spec)
        return PublishedRows(found.rows, spec, found.keyless)


def _files(table: dict[str, Any], key: str) -> Files:
    """The files of a table; what it leaves to be guessed of them is stated in it then, and noted."""
    records: dict[str, Any] = {name: table[name] for name in ("uri", "format", "csv") if name in table}
    records |= dict.fromkeys(("event_id", "event_time"), key)
    paths = tuple(matching_files(records["uri"]))
    form = fill_in(records, paths, lambda text: note(_as_options(text)))
    table |= {name: records[name] for name in ("format", "csv") if name in records}
    return Files(records["uri"], records["format"], paths, form)


def _all_columns(files: Files, keys: list[str], valid_from: str | None) -> list[str]:
    """The columns of the files' first records, without key and time."""
    _, rows = next(stretches(files.sample(keys), files.format, keys), ("", None))
    if rows is None:
        raise TableRefused(f"{files.uri}: no record in it can be read; expected: rows of a table")
    return [name for name in rows.schema.names if name not in (*keys, valid_from)]


@contextmanager
def _said_as_options() -> Iterator[None]:
    """Errors name the options of the verb."""
    try:
        yield
    except SpecErrors as several:
        raise SpecErrors(tuple(_of_option(error) for error in several.errors)) from None
    except SpecError as error:
        raise _of_option(error) from None
    except TableRefused as refused:
        raise TableRefused(_as_options(str(refused))) from None


def _of_option(error: SpecError) -> SpecError:
    return SpecError(_as_options(error.path), error.value, _as_options(error.allowed))


def _as_options(text: str) -> str:
    for spoken, option in _OPTIONS:
        text = spoken.sub(option, text)
    return text


def say_keyless(found: PublishedRows) -> None:
    """Notes the rows that are left out."""
    if found.keyless:
        note(f"rows without a key are left out of the table: {found.keyless:,}")
