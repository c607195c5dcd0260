"""How much a model's answers depend on each input, from exchanged values of a sample."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

MOST_INPUTS = 1_000
"""Of a model with more inputs no importance is computed: each costs one call of the model."""
_ROWS, _ROWS_IN_ALL, _FEWEST_ROWS = 2_000, 200_000, 10
_GOLDEN = (np.sqrt(5) - 1) / 2

Scores = npt.NDArray[np.float64]


def importance_of(score: Callable[[pa.RecordBatch], Scores], rows: pa.RecordBatch) -> dict[str, float]:
    """By input, how far the answers move, in their standard deviations, where that input moves by one of its own.

    Each input's values are exchanged between rows (L. Breiman, Machine Learning 45, 2001), and the root mean square of
    what that changes is divided by √2 and by the deviation of the scores: of a linear model |coefficient| · deviation
    of the input / deviation of the scores. No labels are needed. Not for inputs that say the same: each
    seems to matter little, as the other still says it.

    Args:
        score: the model; called once for each input with at most 2,000 rows.
        rows: prepared inputs, in any order. Which rows exchange values is fixed: equal rows give equal numbers.

    Returns:
        Four significant digits for each input; nothing where there are fewer than 10 rows, all scores are equal, or
        there are more than `MOST_INPUTS` inputs.

    Raises:
        Exception: whatever the model raises at such rows.
    """
    names = rows.schema.names
    if rows.num_rows < _FEWEST_ROWS or not 0 < len(names) <= MOST_INPUTS:
        return {}
    most = min(rows.num_rows, _ROWS, max(_FEWEST_ROWS, _ROWS_IN_ALL // len(names)))
    some = rows.take(pa.array(np.unique(np.linspace(0, rows.num_rows - 1, most).astype(np.int64))))
    known = score(some)
    spread = float(np.std(known))
    if not spread > 0:
        return {}
    partners = pa.array(_partners(some.num_rows))
    moved = {name: _moved(known, score(_exchanged(some, index, partners))) for index, name in enumerate(names)}
    return {name: float(f"{each / spread:.4g}") for name, each in moved.items() if np.isfinite(each / spread)}


def _moved(known: Scores, exchanged: Scores) -> float:
    return float(np.sqrt(np.mean((exchanged - known) ** 2) / 2))


def _exchanged(rows: pa.RecordBatch, index: int, partners: pa.Array) -> pa.RecordBatch:
    """The rows with one column's values from their partners."""
    columns: Sequence[pa.Array] = rows.columns
    changed = [*columns[:index], columns[index].take(partners), *columns[index + 1 :]]
    return pa.RecordBatch.from_arrays(changed, schema=rows.schema)


def _partners(rows: int) -> npt.NDArray[np.int64]:
    """The row from which each row gets a value: all of them once, about golden sections of the sample apart."""
    return np.argsort(np.arange(rows) * _GOLDEN % 1.0, kind="stable")
