"""The lookups of a job spec, opened: their tables are read and checked before anything is scored."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from pipeline.endpoints.errors import NoInput
from pipeline.endpoints.files.other_formats import fill_in
from pipeline.endpoints.lookups.stored_tables import opened_stored
from pipeline.endpoints.lookups.table_files import TableRefused, read_whole, version_of
from pipeline.endpoints.matching import matching_files
from pipeline.endpoints.sample import sampled_types
from pipeline.endpoints.sources import Files
from pipeline.reporting.printer import note
from pipeline.spec.checks import used_columns
from pipeline.spec.columns import columns_of_key, key_of
from pipeline.spec.job import events_spec
from pipeline.spec.lookups import lookups_in
from schemas.columns import TIMESTAMP, VALUES
from schemas.job import LookupSpec
from schemas.keys import defaults_of
from schemas.problems import SpecErrors
from schemas.validation import SpecError
from transforms.lookups.as_of import AsOfTable
from transforms.lookups.held_tables import hold
from transforms.lookups.timed_table import TimedTable

_FORM = ("uri", "format", "csv", "time_format", "time_unit", "time_zone", "time_ambiguous")
# Keys of the spec in messages; a file may be called events.csv.
_OF_EVENTS = re.compile(r"(?<![\w/.])events\.(uri|format|csv|time_\w+)\b")
_COLUMNS = re.compile(r"(?<![\w/.])events\.columns\b")
_DEFAULTS = defaults_of("job")


class OpenedLookups(NamedTuple):
    """Lookups whose tables are known to be sound, and the tables, which whoever holds this keeps in memory."""

    specs: tuple[LookupSpec, ...] = ()
    tables: tuple[AsOfTable | TimedTable, ...] = ()

    @property
    def of_files(self) -> tuple[AsOfTable, ...]:
        """The tables that are in files."""
        return tuple(each for each in self.tables if isinstance(each, AsOfTable))


def open_lookups(document: Mapping[str, Any], columns: Mapping[str, str]) -> OpenedLookups:
    """The lookups of a resolved spec. What it leaves to be guessed of their files is stated in it then, and noted.

    Args:
        columns: the kinds of event columns, where these are known.

    Raises:
        SpecError: a column does not exist, or a file is in no format that is read.
        TableRefused, NoInput, OSError: a table cannot be read, or not be joined.
        StoreError: the store of a table does not answer.
    """
    used = used_columns(document)
    found: list[tuple[LookupSpec, AsOfTable | TimedTable]] = []
    for path, lookup in lookups_in(document):
        read = _read(path, lookup, used)
        if "store" in lookup["table"]:
            found.append(opened_stored(path, lookup, read, document["model"]["store"]))
        else:
            found.append(_opened(path, lookup, read, columns))
    return OpenedLookups(tuple(spec for spec, _ in found), tuple(table for _, table in found))


def _read(path: str, lookup: Mapping[str, Any], used: Mapping[str, str]) -> list[str]:
    """The columns that the job uses, which are all that models may read; one at least."""
    stated, name = list(lookup["columns"]), lookup["name"]
    unread = [column for column in stated if f"{name}.{column}" not in used]
    if unread:
        found = f"no feature, key, expression or segment names {', '.join(unread)}, so that nothing reads it"
        note(f"{path}.columns: {found}; next: name it in features where a model is to read it")
    return [column for column in stated if column not in unread] or stated[:1]


def _opened(
    path: str, lookup: Mapping[str, Any], read: Sequence[str], of_events: Mapping[str, str]
) -> tuple[LookupSpec, AsOfTable]:
    with errors_of_table(path):
        spec = spec_of_files(path, lookup, read, of_events)
        whole = read_whole(spec)
        if whole.keyless:
            note(f"lookup {spec.name}: rows without a key are left out of the table: {whole.keyless:,}")
        hold(spec, whole.table)
        return spec, whole.table


def spec_of_files(
    path: str, lookup: Mapping[str, Any], read: Sequence[str], of_events: Mapping[str, str]
) -> LookupSpec:
    """A lookup of files, before they are read whole. What it leaves to be guessed of them is stated in it then.

    Raises:
        SpecError, NoInput, OSError: as `open_lookups`.
    """
    table = lookup["table"]
    # No id and no time of events is read: what must be named is the key.
    records = {name: table[name] for name in _FORM if name in table}
    records |= dict.fromkeys(("event_id", "event_time"), columns_of_key(table["key"])[0])
    paths = tuple(matching_files(records["uri"]))
    form = fill_in(records, paths, lambda text: note(_renamed(text, path)))
    table |= {name: records[name] for name in ("format", "csv") if name in records}
    kinds = _kinds(path, lookup, read, Files(records["uri"], records["format"], paths, form), of_events)
    return LookupSpec(
        name=lookup["name"],
        on=key_of(lookup["on"]),
        key=key_of(table["key"]),
        valid_from=table.get("valid_from"),
        columns=tuple((column, kinds[column]) for column in read),
        refuses=lookup.get("missing", _DEFAULTS["lookups[].missing"]) == "refuse",
        max_rows=lookup.get("max_rows", _DEFAULTS["lookups[].max_rows"]),
        version=version_of(paths),
        records=events_spec(records, kinds),
        paths=paths,
    )


def _kinds(
    path: str, lookup: Mapping[str, Any], read: Sequence[str], files: Files, of_events: Mapping[str, str]
) -> dict[str, str]:
    """The kind of each column of the table that is read; those that nothing reads must be there all the same."""
    table, stated = lookup["table"], lookup["columns"]
    typed, keys = isinstance(stated, Mapping), columns_of_key(table["key"])
    columns = {name: f"{path}.columns" + (f".{name}" if typed else f"[{at}]") for at, name in enumerate(stated)}
    timed = {table["valid_from"]: f"{path}.table.valid_from"} if "valid_from" in table else {}
    inferred = {} if typed else {name: columns[name] for name in read}
    needed = {**dict.fromkeys(keys, f"{path}.table.key"), **inferred}
    there = {**{name: where for name, where in columns.items() if name not in inferred}, **timed}
    asked = {name: where for name, where in needed.items() if name not in timed}
    found = sampled_types(files.sample([*needed, *there]), files.format, asked, there)
    kinds = {**found, **({name: stated[name] for name in read} if typed else {})}
    for on, key in zip(columns_of_key(lookup["on"]), keys, strict=True):
        if files.format == "csv" and of_events.get(on) in VALUES:  # where a value may be read as a text or as a number
            kinds[key] = of_events[on]
        if kinds[key] not in VALUES:
            raise SpecError(
                f"{path}.table.key", f"{key} of type {kinds[key]}", "a column of numbers, booleans or texts"
            )
    return {**kinds, **dict.fromkeys(timed, TIMESTAMP)}


@contextmanager
def errors_of_table(path: str) -> Iterator[None]:
    """Errors of reading name the table's section, which is read as events are. A table without a record is an error,
    and no input that is merely empty."""
    try:
        yield
    except SpecErrors as several:
        raise SpecErrors(tuple(_error_of_table(error, path) for error in several.errors)) from None
    except SpecError as error:
        raise _error_of_table(error, path) from None
    except TableRefused:
        raise
    except NoInput as error:
        said = _renamed(str(error), path)
        raise TableRefused(said if said.startswith(path) else f"{path}.table.uri: {said}") from None


def _error_of_table(error: SpecError, path: str) -> SpecError:
    return SpecError(_renamed(error.path, path), error.value, _renamed(error.allowed, path))


def _renamed(text: str, path: str) -> str:
    return _COLUMNS.sub(f"{path}.columns", _OF_EVENTS.sub(rf"{path}.table.\1", text))
