"""What expressions make of batches: events chosen by a condition, and features computed of each event."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from schemas import batches
from schemas.columns import ARROW_TYPES
from schemas.expressions.evaluation import evaluate, is_true
from schemas.job import DerivedSpec


def chosen(events: pa.RecordBatch, where: str) -> pa.RecordBatch:
    """The events for which a condition is true; where it is null it is not."""
    return batches.take_rows(events, np.asarray(is_true(where, events)))


def with_derived(events: pa.RecordBatch, derived: Iterable[DerivedSpec]) -> pa.RecordBatch:
    """The events with a column for each computed feature; each may read those before it."""
    for feature in derived:
        values = evaluate(feature.expression, events).cast(ARROW_TYPES[feature.kind])
        events = events.append_column(pa.field(feature.name, values.type), values)
    return events
