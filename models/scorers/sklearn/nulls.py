"""How null texts were represented when an estimator was fitted: None and NaN are two values to scikit-learn.

An encoder that learned None as a category treats NaN as a category that it never saw.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from models.scorers.base import WillNotLoad
from models.scorers.sklearn.skops_files import objects_in


def fitted_on_none(estimator: Any) -> bool:
    """Whether a null text is None to the estimator; False where it is NaN, or where the estimator does not distinguish
    them.

    Raises:
        WillNotLoad: one part of it was fitted on None and another on NaN.
    """
    found = set(_nulls_in(estimator))
    if len(found) > 1:
        raise WillNotLoad(
            "sklearn: null texts were None to one part of the estimator and NaN to another; expected: one of both "
            "(frame.fillna(value=np.nan) before it is fitted), or inputs of texts that are not nullable"
        )
    return found == {True}


def _nulls_in(estimator: Any) -> Iterator[bool]:
    """For each null that a part learned among texts, whether it is None."""
    for part in objects_in(estimator):
        if not type(part).__module__.startswith("sklearn."):
            continue
        fitted = getattr(part, "__dict__", {})
        if "missing_values" in fitted and fitted["missing_values"] is None:
            yield True
        for column in _columns(fitted.get("categories_")):
            values = column.tolist()
            if column.dtype == object and all(isinstance(value, str) or _is_null(value) for value in values):
                yield from (value is None for value in values if _is_null(value))


def _columns(categories: Any) -> list[Any]:
    given = categories if isinstance(categories, list) else []
    return [column for column in given if isinstance(column, np.ndarray)]


def _is_null(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))
