"""The aggregate of a feature by its name: a built-in one, or that of a plug-in (docs/python.md#aggregates)."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from models.plug_ins import AGGREGATES as GROUP
from models.plug_ins import PlugInBroken, plug_in
from schemas.columns import ARROW_TYPES
from schemas.job import FeatureSpec
from schemas.validation import Absent
from transforms.features.aggregates import AGGREGATES, Aggregate, Example, over, sorted_values, windows_of
from transforms.features.tile_tables import Ranges, ValueCounts

GIVES = ("number", "integer")


def aggregate_of(name: str, spec_path: str = "features") -> Aggregate:
    """The aggregate of that name; `spec_path`: where the spec names it.

    Raises:
        PlugInBroken: the plug-in that adds it cannot be used.
        KeyError: there is none.
    """
    return AGGREGATES[name] if name in AGGREGATES else _added(name, spec_path)


@lru_cache(maxsize=256)
def _added(name: str, spec_path: str) -> Aggregate:
    found = plug_in(GROUP, name, spec_path)
    if found is None:
        raise KeyError(name)
    gives, of_texts, answer = (getattr(found, key, None) for key in ("gives", "of_texts", "answer"))
    if gives not in GIVES or not isinstance(of_texts, bool) or not callable(answer):
        lacks = Absent(f"plug-in {name!r} has gives {gives!r}, of_texts {of_texts!r}, answer {answer!r:.40}")
        raise PlugInBroken(spec_path, lacks, "gives as number or integer, of_texts as True or False, and answer()")
    says, example = f"what the plug-in {name!r} answers", Example((1.0,), 1.0)
    of = _answering(answer, gives)
    return Aggregate(of, gives, says, example, of_texts=of_texts, holistic=True, exact_only=True)


def _answering(answer: Callable[[Any, Any], Any], gives: str) -> Callable[[ValueCounts, Ranges, FeatureSpec], pa.Array]:
    """The plug-in's answer for each window: of its different values in order, and how often each occurs."""

    def of(table: ValueCounts, ranges: Ranges, feature: FeatureSpec) -> pa.Array:
        distinct = sorted_values(table)
        numbers = distinct if pa.types.is_string(distinct.type) else distinct.cast(pa.float64(), safe=False)
        values = numbers.to_numpy(zero_copy_only=False)
        unknown = over(table, ranges)
        answers: list[Any] = [None] * len(ranges.low)
        for window in windows_of(table, ranges):
            first = np.flatnonzero(np.concatenate(([True], np.diff(window.query) != 0)))
            for start, end in zip(first, [*first[1:], len(window.query)], strict=True):
                query = int(window.query[start])
                if not unknown[query]:
                    answers[query] = answer(values[window.rank[start:end]], window.times[start:end])
        return pa.array(answers, ARROW_TYPES[gives], from_pandas=True)

    return of
