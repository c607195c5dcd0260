"""The fairness of a job spec: protected columns, and how their values make groups."""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import pyarrow as pa

from pipeline.spec.expansion import section_of
from schemas.batches import as_texts
from schemas.columns import FairnessSpec, Grouping
from schemas.expectations import QUOTE, did_you_mean
from schemas.keys import defaults_of
from schemas.validation import MISSING, SpecError

Sound = Callable[[str], bool]
_DEFAULTS = defaults_of("job")
_SECTION = "fairness"
_NUMBERS = ("number", "integer")


def fairness_of(document: Mapping[str, Any]) -> FairnessSpec | None:
    """The fairness of a valid document; None where it has none.

    >>> fairness_of({"fairness": {"columns": ["sex", ["sex", "age"]], "groups": {"age": [25]}}}).columns
    (('sex',), ('sex', 'age'))
    """
    if _SECTION not in document:
        return None
    section = document[_SECTION]
    limits = {key: section.get(key, _DEFAULTS[f"{_SECTION}.{key}"]) for key in ("max_groups", "min_n")}
    columns = tuple(tuple(_listed(one)) for one in section["columns"])
    groupings = tuple((name, _grouping(stated)) for name, stated in section.get("groups", {}).items())
    return FairnessSpec(columns, groupings, limits["max_groups"], limits["min_n"], "privacy" in document)


def _grouping(stated: Any) -> Grouping:
    if isinstance(stated, list):
        return Grouping(edges=tuple(map(float, stated)))
    return Grouping(named=tuple((name, tuple(map(text_of, values))) for name, values in stated.items()))


def text_of(value: str | float | bool) -> str:
    """A value of a spec as the text that the same value of an event has.

    >>> text_of("DE"), text_of(7.0), text_of(True)
    ('DE', '7', 'true')
    """
    text: str = as_texts(pa.array([value]))[0].as_py()
    return text


def protected_columns(document: Mapping[str, Any], sound: Sound = lambda _: True) -> Iterator[tuple[str, str]]:
    """The path of each protected column in a document, and its name; only of parts that are sound."""
    columns = section_of(document, _SECTION).get("columns")
    for index, one in enumerate(columns if isinstance(columns, list) else ()):
        spec_path = f"{_SECTION}.columns[{index}]"
        if isinstance(one, str) and sound(spec_path):
            yield spec_path, one
        for within, name in enumerate(one if isinstance(one, list) else ()):
            if isinstance(name, str) and sound(f"{spec_path}[{within}]") and sound(spec_path):
                yield f"{spec_path}[{within}]", name


def fairness_errors(document: Mapping[str, Any], sound: Sound) -> Iterator[SpecError]:
    """What is wrong with the groups of a document, as far as it can be told without the types of columns."""
    known = list(dict.fromkeys(name for _, name in protected_columns(document, sound)))
    for name, stated in _stated_groups(document, sound):
        spec_path = f"{_SECTION}.groups.{name}"
        if name not in known:
            hint = did_you_mean(name, known, QUOTE)
            yield SpecError(spec_path, name, f"a column of {_SECTION}.columns: {', '.join(known)}{hint}")
        elif isinstance(stated, list):
            if any(low >= high for low, high in pairwise(stated)):
                yield SpecError(spec_path, stated, "numbers in ascending order, the edges of bins")
        else:
            yield from _name_errors(spec_path, stated)


def _name_errors(spec_path: str, stated: Mapping[str, list[Any]]) -> Iterator[SpecError]:
    of_value: dict[str, str] = {}
    for group, values in stated.items():
        if group == Grouping.OTHER:
            yield SpecError(f"{spec_path}.{group}", group, "another name: all values that no group has are this group")
        for index, value in enumerate(values):
            text = text_of(value)
            if of_value.setdefault(text, group) != group:
                wanted = f"a value that no other group has ({of_value[text]} has it)"
                yield SpecError(f"{spec_path}.{group}[{index}]", value, wanted)


def grouping_errors(
    document: Mapping[str, Any], kinds: Mapping[str, str], sound: Sound = lambda _: True
) -> Iterator[SpecError]:
    """What is wrong with the groups of columns of these kinds."""
    groups = dict(_stated_groups(document, sound))
    told = set[str]()
    for _, name in protected_columns(document, sound):
        stated, kind = groups.get(name), kinds.get(name)
        if kind is None or name in told:
            continue
        told.add(name)
        if isinstance(stated, list) and kind not in _NUMBERS:
            wanted = f"names of groups with lists of values: edges are of numbers ({name} is a {kind})"
            yield SpecError(f"{_SECTION}.groups.{name}", stated, wanted)
        elif stated is None and kind == "number" and sound(f"{_SECTION}.groups"):
            wanted = "the edges of bins, such as [25, 65], since each value of a number would be a group"
            yield SpecError(f"{_SECTION}.groups.{name}", MISSING, wanted)


def hidden_protected_errors(
    document: Mapping[str, Any], secret: Mapping[str, str], sound: Sound
) -> Iterator[SpecError]:
    """Protected columns whose values are hidden, or computed of hidden ones, and whose groups are not stated.

    Args:
        secret: the hidden columns and what is computed of them, each with the hidden column.
    """
    groups, told = dict(_stated_groups(document, sound)), set[str]()
    for _, name in protected_columns(document, sound):
        if name in secret and name not in groups and name not in told:
            told.add(name)
            wanted = f"groups with names, or edges of bins: {secret[name]} is hidden, and records have names of groups"
            yield SpecError(f"{_SECTION}.groups.{name}", MISSING, f"{wanted} in plain")


def _stated_groups(document: Mapping[str, Any], sound: Sound) -> Iterator[tuple[str, Any]]:
    groups = section_of(document, _SECTION).get("groups")
    for name, stated in (groups if isinstance(groups, Mapping) else {}).items():
        if isinstance(name, str) and isinstance(stated, list | Mapping) and sound(f"{_SECTION}.groups.{name}"):
            yield name, stated


def _listed(one: str | list[str]) -> list[str]:
    return [one] if isinstance(one, str) else one
