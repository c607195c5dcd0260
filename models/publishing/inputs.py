"""The manifest's inputs, from the model, the flags and the sample."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from models.bundles.inputs import width_of
from models.bundles.manifest import Input, Value
from models.profiles import SCORE
from models.publishing.description import CannotPublish, Description, FoundInput
from schemas.columns import KINDS, ColumnKind, kind_of
from schemas.expectations import did_you_mean
from schemas.times import MalformedTime, parse_time_us
from schemas.vectors import MAX_LENGTH, PATTERN, vector_of

_FLAG = re.compile(
    rf"(?P<name>.+?):(?P<type>{'|'.join(KINDS)}|{PATTERN})(?P<nullable>:nullable)?(=(?P<default>.*))?", re.DOTALL
)
_BOOLEANS = {"true": True, "false": False}
_PARSERS: Mapping[ColumnKind, Callable[[str], Value]] = {
    "number": float,
    "integer": int,
    "boolean": _BOOLEANS.__getitem__,
    "string": str,
    "timestamp": parse_time_us,
}


@dataclass(frozen=True, slots=True)
class StatedInput:
    """An input that a person stated."""

    name: str
    type: ColumnKind
    nullable: bool
    default: Value | None


def parse_input(text: str) -> StatedInput:
    """`name:type[:nullable][=default]`, such as `delay:number:nullable`, `carrier:string=AA` or `pixels:vector[784]`.

    Raises:
        ValueError: it has another form, or the default is not of that type.
    """
    found = _FLAG.fullmatch(text)
    if not found or (found["type"] not in KINDS and vector_of(found["type"]) is None):
        types = "|".join((*KINDS, "vector[n]", "vector[n,float64]"))
        hint = did_you_mean(text.partition(":")[2].partition(":")[0].partition("=")[0], KINDS)
        form = f"NAME:{types}[:nullable][=DEFAULT], n up to {MAX_LENGTH}{hint}"
        raise ValueError(f"{text!r} is not allowed; expected: {form}")
    kind: ColumnKind = found["type"]
    default = None if found["default"] is None else _value(found["default"], kind)
    return StatedInput(found["name"], kind, found["nullable"] is not None, default)


def resolve_inputs(
    description: Description, stated: Sequence[StatedInput], sample: pa.Table | None
) -> tuple[Input, ...]:
    """The inputs of a model.

    Names and their order: the model's, else the stated ones, else all columns of the sample. Type and whether an input
    may be null: as stated, else the model's, else the sample's, else number and not null.

    Raises:
        CannotPublish: nothing states which inputs there are, or two statements contradict each other.
    """
    by_name = {each.name: each for each in stated}
    found = description.inputs or _unnamed(description, stated, sample)
    names = [each.name for each in found]
    for name in by_name:
        if name not in names:
            raise CannotPublish(f"--input {name!r} is not an input of the model; allowed: {', '.join(names)}")
    return tuple(_resolved(each, by_name.get(each.name), sample) for each in found)


def texts_among(description: Description, stated: Sequence[StatedInput]) -> frozenset[str]:
    """The names of the inputs known to be texts before any row is read."""
    types = {each.name: each.type for each in description.inputs} | {each.name: each.type for each in stated}
    return frozenset(name for name, kind in types.items() if kind == "string")


def _unnamed(
    description: Description, stated: Sequence[StatedInput], sample: pa.Table | None
) -> tuple[FoundInput, ...]:
    """Inputs for a model whose columns have no names: the caller states their order."""
    columns = [] if sample is None else [name for name in sample.schema.names if name != SCORE]
    names = [each.name for each in stated] or columns
    wanted = "" if description.width is None else f"{description.width} "
    if not names:
        raise CannotPublish(f"the model names none of its {wanted}inputs; expected: --input for each, or --sample; "
                            "next: halflife models publish --sample FILE")  # fmt: skip
    by_name = {each.name: each for each in stated}
    found = width_of([_resolved(FoundInput(name), by_name.get(name), sample) for name in names])
    if description.width not in (None, found):
        raise CannotPublish(f"inputs {', '.join(names)} are {found}; expected: {wanted}in the model's order")
    return tuple(FoundInput(name) for name in names)


def _resolved(found: FoundInput, stated: StatedInput | None, sample: pa.Table | None) -> Input:
    if stated is not None:
        return Input(stated.name, stated.type, stated.nullable or bool(found.nullable), stated.default)
    column = None if sample is None or found.name not in sample.schema.names else sample.column(found.name)
    shown = None if column is None else kind_of(column.type)
    nullable = found.nullable if found.nullable is not None else column is not None and column.null_count > 0
    return Input(found.name, found.type or shown or "number", nullable)


def _value(text: str, kind: ColumnKind) -> Value:
    if vector_of(kind) is not None:
        raise ValueError(f"default {text!r} is not allowed; expected: none, a vector has no default")
    try:
        return _PARSERS[kind](text)
    except (ValueError, KeyError, MalformedTime):
        raise ValueError(f"default {text!r} is not allowed; expected: a value of type {kind}") from None
