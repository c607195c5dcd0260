"""The functions that an expression may call, and no others: each is an entry of `FUNCTIONS` (docs/expressions.md).

An entry is pure: it reads its arguments alone, no file, clock or random number. Whoever adds one runs `make docs`;
the examples of each are run as a test.
"""

from collections.abc import Mapping

from schemas.expressions.arithmetic import ARITHMETIC
from schemas.expressions.casts import CASTS
from schemas.expressions.conditions import CONDITIONS
from schemas.expressions.functions import Function
from schemas.expressions.moments import MOMENTS
from schemas.expressions.nodes import Value
from schemas.expressions.texts import TEXTS

GROUPS: Mapping[str, Mapping[str, Function]] = {
    "Conditions and choices": CONDITIONS,
    "Numbers": ARITHMETIC,
    "Texts": TEXTS,
    "Times": MOMENTS,
    "Kinds": CASTS,
}
FUNCTIONS: Mapping[str, Function] = {name: each for group in GROUPS.values() for name, each in group.items()}
EXAMPLE: Mapping[str, tuple[str, Value]] = {
    "carrier": ("string", "UA"),
    "seats": ("integer", 180),
    "dep_delay": ("number", 22.5),
    "taxi_out": ("number", None),
    "event_time": ("timestamp", "2013-06-01T22:30:00Z"),
}
"""The event of the examples: the kind and the value of each column."""
