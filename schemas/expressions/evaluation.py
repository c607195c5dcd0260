"""Expressions as columns: evaluated on Arrow batches by `pyarrow.compute`, a function for a whole column."""

from collections.abc import Mapping
from functools import lru_cache

import pyarrow as pa

from schemas import batches
from schemas.columns import kind_of
from schemas.expressions.checking import Applied, Column, Constant, Converted, Typed, check
from schemas.expressions.functions import ARROW_KINDS, Datum, finite
from schemas.expressions.nodes import names_in
from schemas.expressions.reading import parse


def evaluate(text: str, batch: pa.RecordBatch) -> pa.Array:
    """The values of an expression for the events of a batch, shape (n,); no number is infinite or NaN.

    Raises:
        MalformedExpression: it does not fit the columns of the batch.

    >>> batch = pa.record_batch({"delay": [30.0, None]})
    >>> evaluate("delay / 60", batch).to_pylist()
    [0.5, None]
    """
    typed = _typed(text, tuple((field.name, _kind(field.type)) for field in batch.schema))
    found = _evaluated(typed, batch)
    values = pa.repeat(found, batch.num_rows) if isinstance(found, pa.Scalar) else found
    return finite(values) if pa.types.is_floating(values.type) else values


def is_true(text: str, batch: pa.RecordBatch) -> pa.Array:
    """For which events of a batch a condition is true, shape (n,): where it is null it is not.

    >>> is_true("delay > 15", pa.record_batch({"delay": [30.0, None]})).to_pylist()
    [True, False]
    """
    return evaluate(text, batch).fill_null(False)


def _kind(found: pa.DataType) -> str:
    """The kind of a column; one that no expression can name has the name of its type."""
    return kind_of(found) or str(found)


@lru_cache(1024)
def _typed(text: str, columns: tuple[tuple[str, str], ...]) -> Typed:
    node, kinds = parse(text), dict(columns)
    return check(text, node, {name.name: kinds[name.name] for name in names_in(node) if name.name in kinds})


def _evaluated(typed: Typed, batch: pa.RecordBatch) -> Datum:
    return _EVALUATED[type(typed)](typed, batch)


def _constant(typed: Constant, batch: pa.RecordBatch) -> Datum:
    return pa.scalar(typed.value, ARROW_KINDS[typed.kind])


def _column(typed: Column, batch: pa.RecordBatch) -> Datum:
    values, wanted = batch.column(batches.EVENT_TIME if typed.name is None else typed.name), ARROW_KINDS[typed.kind]
    return values if values.type == wanted else values.cast(wanted)


def _applied(typed: Applied, batch: pa.RecordBatch) -> Datum:
    return typed.function.apply(*(_evaluated(arg, batch) for arg in typed.args), *typed.constants)


def _converted(typed: Converted, batch: pa.RecordBatch) -> Datum:
    return _evaluated(typed.value, batch).cast(ARROW_KINDS[typed.kind], safe=False)


_EVALUATED: Mapping[type, Datum] = {
    Constant: _constant,
    Column: _column,
    Applied: _applied,
    Converted: _converted,
}
