"""The event of the examples as a batch, and values at the edges of each kind."""

from typing import Any

import pyarrow as pa

from schemas import batches
from schemas.expressions.functions import ARROW_KINDS
from schemas.expressions.table import EXAMPLE
from schemas.times import parse_time_us


def example(rows: int = 1) -> pa.RecordBatch:
    """The event of the examples, `rows` times."""
    arrays: dict[str, Any] = {}
    for name, (kind, value) in EXAMPLE.items():
        known = parse_time_us(str(value)) if kind == "timestamp" else value
        arrays[batches.EVENT_TIME if kind == "timestamp" else name] = pa.array([known] * rows, ARROW_KINDS[kind])
    return pa.RecordBatch.from_pydict(arrays)


NUMBERS = [0.0, -0.0, 1.5, -2.0, 7.0, 1e308, -1e308, 5e-324, 2.0**53, None]
INTEGERS = [0, 1, -1, 7, -8, 2**63 - 1, -(2**63), 10, 3, None]
TEXTS = ["", "UA", "ua", "ä", " x ", "12", "1e3", "true", "%_\\", None]
TRUTHS = [True, False, None, True, False, None, True, False, None, True]
TIMES = [0, -1, 1_370_125_800_000_000, 1_383_000_000_000_000, 2**50, 951_782_400_000_000, 1, 3, 5, 7]


def edges() -> pa.RecordBatch:
    """Two columns of each kind with values at its edges, in different orders."""
    columns: dict[str, Any] = {batches.EVENT_TIME: pa.array(TIMES, batches.TIME_TYPE)}
    kinds: dict[str, list[Any]] = {"number": NUMBERS, "integer": INTEGERS, "string": TEXTS, "boolean": TRUTHS}
    for kind, values in kinds.items():
        columns[kind] = pa.array(values, ARROW_KINDS[kind])
        columns[f"other_{kind}"] = pa.array([*values[3:], *values[:3]], ARROW_KINDS[kind])
    return pa.RecordBatch.from_pydict(columns)
