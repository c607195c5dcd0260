"""The lookups of a job spec: the columns that they give to events, and what is wrong with them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipeline.spec.columns import columns_of_key
from pipeline.spec.tables import LOOKUPS
from schemas.columns import VALUES
from schemas.expectations import QUOTE, did_you_mean
from schemas.validation import MISSING, SpecError

Sound = Callable[[str], bool]


def lookups_in(document: Mapping[str, Any], sound: Sound = lambda _: True) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The sound lookups of a document that may be wrong, each with its path."""
    found = document.get(LOOKUPS)
    for index, lookup in enumerate(found if isinstance(found, list) else ()):
        if isinstance(lookup, Mapping) and sound(f"{LOOKUPS}[{index}]"):
            yield f"{LOOKUPS}[{index}]", lookup


def columns_of_tables(document: Mapping[str, Any], sound: Sound = lambda _: True) -> dict[str, str]:
    """The columns that lookups give to events, by name, each with the path of its lookup.

    >>> columns_of_tables({"lookups": [{"name": "plane", "columns": ["year", "seats"]}]})
    {'plane.year': 'lookups[0]', 'plane.seats': 'lookups[0]'}
    """
    return {f"{one['name']}.{column}": path for path, one in lookups_in(document, sound) for column in one["columns"]}


def lookup_named(name: str, document: Mapping[str, Any], sound: Sound = lambda _: True) -> str | None:
    """The path of the lookup that a column's name begins with, whether or not it has that column."""
    return next((path for path, one in lookups_in(document, sound) if name.startswith(f"{one['name']}.")), None)


def lookup_errors(
    document: Mapping[str, Any], needed: Mapping[str, str], sound: Sound = lambda _: True
) -> Iterator[SpecError]:
    """What is wrong with lookups and the uses of their columns, as far as it shows without their tables.

    Args:
        needed: the columns of events that the document uses, each with the path of its first use.
    """
    names: dict[str, str] = {}
    for path, lookup in lookups_in(document, sound):
        if lookup["name"] in names:
            yield SpecError(f"{path}.name", lookup["name"], f"a name that {names[lookup['name']]} does not have")
        names.setdefault(lookup["name"], path)
        form = list(_form_errors(path, lookup["table"]))
        yield from form
        if form or "store" in lookup["table"]:
            continue
        on, key = columns_of_key(lookup["on"]), columns_of_key(lookup["table"]["key"])
        if lookup["table"].get("valid_from") in key:
            valid_from = lookup["table"]["valid_from"]
            yield SpecError(f"{path}.table.valid_from", valid_from, f"another column than {path}.table.key")
        if len(on) != len(key):
            yield SpecError(
                f"{path}.on", lookup["on"], f"as many columns as {path}.table.key has, which are {len(key)}"
            )
    given = columns_of_tables(document, sound)
    for name, spec_path in needed.items():
        of_lookup = lookup_named(name, document, sound)
        if of_lookup is None:
            continue
        if spec_path.endswith(".on"):
            yield SpecError(spec_path, name, f"an event column, and no column of {of_lookup}")
            continue
        of = [column for column in given if column.startswith(f"{name.partition('.')[0]}.")]
        hint = did_you_mean(name, of, QUOTE)
        yield SpecError(spec_path, name, f"one of {', '.join(of)}, the columns of {of_lookup}{hint}")


def _form_errors(path: str, table: Mapping[str, Any]) -> Iterator[SpecError]:
    """A table is in files, with a key, or in the store, whose versions state everything else."""
    if "store" in table:
        for name in table:
            if name != "store":
                yield SpecError(f"{path}.table.{name}", table[name], "store alone: versions in a store state the rest")
        return
    for name, what in (("uri", "the files with the table, or store: NAME"), ("key", "the column with the key")):
        if name not in table:
            yield SpecError(f"{path}.table.{name}", MISSING, what)


def key_errors(
    document: Mapping[str, Any], columns: Mapping[str, str], sound: Sound = lambda _: True
) -> Iterator[SpecError]:
    """Lookups whose key is no value to compare; `columns`: the kinds of event columns."""
    for path, lookup in lookups_in(document, sound):
        for name in columns_of_key(lookup["on"]):
            kind = columns.get(name)
            if kind is not None and kind not in VALUES:
                allowed = f"a column of numbers, booleans or texts ({name} is a {kind})"
                yield SpecError(f"{path}.on", name, allowed)
