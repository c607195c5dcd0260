"""The kinds of column of jobs and models: their names, their Arrow types, and which fits which.

| kind      | Arrow type | an input of it takes columns of | is written without loss as       |
|-----------|------------|---------------------------------|----------------------------------|
| `number`  | double     | number, integer                 | a number                         |
| `integer` | int64      | integer                         | a number, an integer             |
| `boolean` | bool       | boolean                         | a number, an integer, a boolean  |
| `string`  | string     | string                          | a string                         |
| `timestamp` | timestamp[us, UTC] | timestamp                 | an integer                       |

A model reads a timestamp as a whole number: microseconds since 1970-01-01T00:00:00Z.

Beside these there are vectors (`schemas.vectors`): an input of n numbers takes columns of as many, of 32 or 64 bits.
The tables say something of each of them too. The JSON Schemas of jobs and manifests list the same kinds; a test holds
them to this module.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar, get_args

import pyarrow as pa

from schemas.vectors import FORMS, Vector, vector_of, vector_of_type

ScalarKind: TypeAlias = Literal["number", "integer", "boolean", "string", "timestamp"]
"""A kind of column with one value for each event."""
ColumnKind: TypeAlias = str
"""A kind of column: a `ScalarKind`, or that of a vector."""
KINDS: tuple[ScalarKind, ...] = get_args(ScalarKind)
VALUES: tuple[ScalarKind, ...] = ("number", "integer", "boolean", "string")
"""The kinds of values that are compared, grouped by and aggregated: all but times and vectors."""
TIMESTAMP = "timestamp"
ALLOWED = f"{', '.join(KINDS)}, {FORMS}"
"""All kinds, as messages name them."""
_Entry = TypeVar("_Entry")


class _Table(dict[str, _Entry]):
    """What there is to know of each kind: the entries of those with one value, and for vectors a rule."""

    def __init__(self, scalars: Mapping[str, _Entry], of_vector: Callable[[Vector], _Entry]) -> None:
        super().__init__(scalars)
        self._of_vector = of_vector

    def __missing__(self, kind: str) -> _Entry:
        vector = vector_of(kind)
        if vector is None:
            raise KeyError(kind)
        return self._of_vector(vector)


def _of_length(vector: Vector) -> tuple[ColumnKind, ...]:
    """Vectors of that length, their own kind first."""
    return tuple(dict.fromkeys(each.kind for each in (vector, *(Vector(vector.length, one) for one in _ELEMENTS))))


_ELEMENTS = ("float32", "float64")
ARROW_TYPES: Mapping[str, pa.DataType] = _Table(
    {
        "number": pa.float64(),
        "integer": pa.int64(),
        "boolean": pa.bool_(),
        "string": pa.string(),
        "timestamp": pa.timestamp("us", "UTC"),
    },
    lambda vector: vector.arrow_type,
)
ZEROS: Mapping[str, Any] = _Table(
    {"number": 0.0, "integer": 0, "boolean": False, "string": "", "timestamp": 0},
    lambda vector: [0.0] * vector.length,
)
"""An ordinary value of each kind, for invented records."""

TAKES: Mapping[str, tuple[ColumnKind, ...]] = _Table(
    {
        "number": ("number", "integer"),
        "integer": ("integer",),
        "boolean": ("boolean",),
        "string": ("string",),
        "timestamp": ("timestamp",),
    },
    _of_length,
)
"""The kinds of column that an input of a kind can be read from."""
WRITTEN_AS: Mapping[str, tuple[ScalarKind, ...]] = _Table(
    {
        "number": ("number",),
        "integer": ("number", "integer"),
        "boolean": ("number", "integer", "boolean"),
        "string": ("string",),
        "timestamp": ("integer",),
    },
    lambda vector: ("number",),
)
"""The kinds of a library's values as which a column of a kind can be written without loss."""


def read_type(kind: str) -> pa.DataType:
    """The Arrow type in which a model reads a column of a kind.

    >>> read_type("number"), read_type("timestamp")
    (DataType(double), DataType(int64))
    """
    return pa.int64() if kind == TIMESTAMP else ARROW_TYPES[kind]


# The narrowest kind that holds the values of all branches of a union; beside texts a number is its text.
_HOLDS: tuple[tuple[ScalarKind, frozenset[str]], ...] = (
    ("boolean", frozenset({"boolean"})),
    ("integer", frozenset({"integer"})),
    ("number", frozenset({"integer", "number"})),
    ("string", frozenset({"integer", "number", "string"})),
)


def holding(kinds: Collection[str | None]) -> ColumnKind | None:
    """The kind that holds the values of columns of all these kinds; None where there is none.

    >>> holding({"integer", "number"}), holding({"boolean", "string"})
    ('number', None)
    """
    return next((kind for kind, held in _HOLDS if set(kinds) <= held), None)


def without_loss(kind: str, types: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """A library's types that hold a column of a kind without loss; `types` are all of them by kind.

    >>> without_loss("integer", {"number": ["FP64"], "integer": ["INT64"], "boolean": ["BOOL"], "string": ["BYTES"]})
    ('FP64', 'INT64')
    """
    return tuple(each for written in WRITTEN_AS[kind] for each in types[written])


def _is_text(found: pa.DataType) -> bool:
    """Whether it is one of Arrow's types of text."""
    return bool(pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_string_view(found))


_ARROW_KINDS: tuple[tuple[Callable[[pa.DataType], bool], ScalarKind], ...] = (
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_integer, "integer"),
    (pa.types.is_floating, "number"),
    (_is_text, "string"),
    (pa.types.is_timestamp, "timestamp"),
    (pa.types.is_date, "timestamp"),
)


def kind_of(found: pa.DataType) -> ColumnKind | None:
    """The kind of an Arrow column of this type, for a dictionary that of its values; None for other types.

    >>> kind_of(pa.int8()), kind_of(pa.dictionary(pa.int32(), pa.string())), kind_of(pa.time64("us"))
    ('integer', 'string', None)
    """
    vector = vector_of_type(found)
    if vector is not None:
        return vector.kind
    plain = found.value_type if pa.types.is_dictionary(found) else found
    return next((kind for fits, kind in _ARROW_KINDS if fits(plain)), None)


@dataclass(frozen=True, slots=True)
class Grouping:
    """How the values of a column make groups: by ascending `edges` of bins of numbers, or by `named` lists of values as
    texts; without both, each value is one. `OTHER`: the group of values that no list has."""

    OTHER: ClassVar[str] = "other"
    edges: tuple[float, ...] = ()
    named: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class FairnessSpec:
    """Protected `columns`, several of which are protected together; `groupings` of single ones. A rate of fewer than
    `min_n` events is not told, and where the job `withholds`, neither is that there are so few."""

    columns: tuple[tuple[str, ...], ...]
    groupings: tuple[tuple[str, Grouping], ...]
    max_groups: int
    min_n: int
    withholds: bool = False
