"""What is made of the aggregates: the table of docs/features.md, and the lists in the JSON Schema of the job spec."""

import json
import re
from pathlib import Path

from docs.tables import table
from schemas.times import format_duration_us
from transforms.features.aggregates import AGGREGATES, Aggregate

_HEADER = ("aggregate", "of columns of", "gives", "answer", "how exact", "example")
_KEY = re.compile(r'(?<="aggregate": \{)"enum": \[[^\]]*\], "description": "[^"]*"')


def aggregates_region(module: Path) -> str:
    """A row for each aggregate, in Markdown."""
    return table(_HEADER, [_row(name, each) for name, each in AGGREGATES.items()]) + "\n"


def with_aggregates(schema: str) -> str:
    """The text of the job spec's schema with the names of the aggregates, and of those that columns of texts have."""
    *most, last = [f"`{name}`" for name, each in AGGREGATES.items() if each.of_texts]
    said = f"A column of texts allows only {', '.join(most)} and {last}."
    return _KEY.sub(f'"enum": {json.dumps(list(AGGREGATES))}, "description": {json.dumps(said)}', schema)


def _row(name: str, each: Aggregate) -> tuple[str, ...]:
    gives = "the column's own" if each.gives == "own" else each.gives
    return f"`{name}`", _columns(each), gives, each.says, _exactness(each), _example(each)


def _columns(each: Aggregate) -> str:
    return "any kind" + (", or none" if each.columnless else "") if each.of_texts else "any kind but string"


def _exactness(each: Aggregate) -> str:
    beyond = ", null beyond it" if each.exact_only else ", estimated beyond it"
    return f"exact to `max_values_per_tile`{beyond}" if each.holistic else "exact"


def _example(each: Aggregate) -> str:
    values, answer, q, half_life_us = each.example
    of = f", `q: {q}`" if q is not None else ""
    of += f", `half_life: {format_duration_us(half_life_us)}`" if half_life_us is not None else ""
    return f"of {', '.join(map(_shown, values))}{of}: {_shown(answer)}"


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
