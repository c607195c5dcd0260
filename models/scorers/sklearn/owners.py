"""Which input each column belongs to that the steps of a pipeline make, where every column is made of one input."""

from collections.abc import Sequence
from typing import Any

_EACH_ITSELF = frozenset(
    (
        *("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "PowerTransformer", "QuantileTransformer"),
        *("OrdinalEncoder", "Binarizer"),
    )
)
"""Transformers whose columns are the inputs, each by itself, in their order."""


def owners_of(step: Any, given: Sequence[int]) -> list[int] | None:
    """The owner of each column that a fitted step answers with, from the owners of those that it reads; None where a
    column is made of several, or that is not known."""
    found = _OWNERS.get(type(step).__name__)
    if not type(step).__module__.startswith("sklearn."):
        return None
    if type(step).__name__ in _EACH_ITSELF:
        return list(given)
    return None if found is None else found(step, given)


def _of_imputer(step: Any, given: Sequence[int]) -> list[int] | None:
    statistics = getattr(step, "statistics_", ())
    dropped = len(statistics) != len(given) or any(value != value for value in statistics)
    return None if dropped or step.add_indicator else list(given)


def _of_one_hot(step: Any, given: Sequence[int]) -> list[int] | None:
    if step.min_frequency is not None or step.max_categories is not None:
        return None
    dropped = [False] * len(given) if step.drop_idx_ is None else [each is not None for each in step.drop_idx_]
    widths = [len(values) - gone for values, gone in zip(step.categories_, dropped, strict=True)]
    return [owner for owner, width in zip(given, widths, strict=True) for _ in range(width)]


def _of_pipeline(step: Any, given: Sequence[int]) -> list[int] | None:
    owners: list[int] | None = list(given)
    for _, each in step.steps:
        if owners is None:
            return None
        owners = owners if each in (None, "passthrough") else owners_of(each, owners)
    return owners


def _of_columns(step: Any, given: Sequence[int]) -> list[int] | None:
    names = list(getattr(step, "feature_names_in_", range(len(given))))
    found: list[int] = []
    for _, each, columns in step.transformers_:
        if each == "drop":
            continue
        own = [given[index] for index in _indexes(columns, names)]
        made = own if each == "passthrough" else owners_of(each, own)
        if made is None:
            return None
        found += made
    return found


def _indexes(columns: Any, names: Sequence[Any]) -> list[int]:
    """Which columns a transformer of a ColumnTransformer reads: one name, several, indexes, a slice or a mask."""
    if isinstance(columns, slice):
        if isinstance(columns.start, str) or isinstance(columns.stop, str):
            start = 0 if columns.start is None else names.index(columns.start)
            stop = len(names) if columns.stop is None else names.index(columns.stop) + 1
            return list(range(start, stop))
        return list(range(len(names)))[columns]
    listed = [columns] if isinstance(columns, (str, int)) else list(columns)
    if listed and all(isinstance(each, bool) or type(each).__name__ == "bool" for each in listed):
        return [index for index, chosen in enumerate(listed) if chosen]
    return [names.index(each) if isinstance(each, str) else int(each) for each in listed]


_OWNERS = {
    "SimpleImputer": _of_imputer,
    "OneHotEncoder": _of_one_hot,
    "Pipeline": _of_pipeline,
    "ColumnTransformer": _of_columns,
}
