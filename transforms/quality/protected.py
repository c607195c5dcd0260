"""Which group of protected columns each event is in, as a text: what leaves this module is groups, not values."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas import batches
from schemas.columns import FairnessSpec, Grouping
from transforms.quality.answers import FairnessBy, ScoredBy, column_of_event


class FairnessRules(NamedTuple):
    """What a spec says of fairness; `segments`: those of quality."""

    spec: FairnessSpec
    segments: tuple[str, ...] = ()

    def of(self, by: ScoredBy) -> FairnessBy:
        """Whose answers are compared, and by which rules."""
        own = [name for name in self.segments if (name,) in self.spec.columns]
        shared = tuple(name for name in own if name not in dict(self.spec.groupings))
        return FairnessBy(by, self.spec.max_groups, self.spec.min_n, self.spec.withholds, shared)


def columns_read(spec: FairnessSpec) -> tuple[str, ...]:
    """The protected columns of events, each once."""
    return tuple(dict.fromkeys(name for columns in spec.columns for name in columns))


def name_of(columns: Sequence[str]) -> str:
    """What columns that are protected together are called.

    >>> name_of(["sex"]), name_of(["sex", "region"])
    ('sex', 'sex & region')
    """
    return " & ".join(columns)


def groups_in(events: pa.RecordBatch, spec: FairnessSpec) -> dict[str, pa.Array]:
    """The group of each event by the name of the protected columns; null where a value is null.

    >>> spec = FairnessSpec((("age",), ("sex",), ("age", "sex")), (("age", Grouping(edges=(25.0, 65.0))),), 100, 30)
    >>> events = pa.record_batch({"age": [24, 25, None, 70], "sex": ["f", "m", "m", None]})
    >>> {name: groups.to_pylist() for name, groups in groups_in(events, spec).items()}["age & sex"]
    ['age < 25 & sex=f', '25 <= age < 65 & sex=m', None, None]
    """
    groupings, of_column = dict(spec.groupings), dict[str, pa.Array]()
    for name in columns_read(spec):
        values = events.column(column_of_event(name, events))
        of_column[name] = _groups(name, values, groupings.get(name, Grouping()))
    joined = {}
    for columns in spec.columns:
        parts = [of_column[name] for name in columns]
        joined[name_of(columns)] = (
            parts[0] if len(parts) == 1
            else pc.binary_join_element_wise(*parts, pa.scalar(" & "), null_handling="emit_null")
        )  # fmt: skip
    return joined


def _groups(name: str, values: pa.Array, grouping: Grouping) -> pa.Array:
    if grouping.edges:
        return _binned(name, values, grouping.edges)
    encoded = batches.as_texts(values).dictionary_encode()
    if grouping.named:
        group = {value: text for text, members in grouping.named for value in members}
        texts = [f"{name} in {group.get(value, Grouping.OTHER)}" for value in encoded.dictionary.to_pylist()]
    else:
        texts = [f"{name}={value}" for value in encoded.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(encoded.indices)


def _binned(name: str, values: pa.Array, edges: Sequence[float]) -> pa.Array:
    texts = bins_of(name, edges)
    numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    at = np.searchsorted(np.array(edges), np.nan_to_num(numbers, nan=0.0), side="right")
    return pa.array(texts, pa.string()).take(pa.array(at, pa.int64(), mask=np.isnan(numbers)))


def bins_of(name: str, edges: Sequence[float]) -> list[str]:
    """The groups that edges make of numbers: an edge belongs to the group above it.

    >>> bins_of("age", [25, 65])
    ['age < 25', '25 <= age < 65', 'age >= 65']
    """
    texts = batches.as_texts(pa.array(edges, pa.float64())).to_pylist()
    between = [f"{low} <= {name} < {high}" for low, high in pairwise(texts)]
    return [f"{name} < {texts[0]}", *between, f"{name} >= {texts[-1]}"]
