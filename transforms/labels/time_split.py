"""A training set cut in two at a time, so that nothing of the second part was known when the first one was."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from schemas import batches

OF_ROW, OF_ROW_TIME = "__label", "__label_time"
"""The columns that rows with labels have besides: the label, null where there is none, and its time."""
TRAIN, TEST = "train", "test"
CROSSES_SPLIT = "crosses_split"
"""Of a row: its event is before the split, and its label is, or may be, known only from then on."""


class SplitRule(NamedTuple):
    """The time at which a training set is cut in two: events before it, whose labels are known before it, and events
    from it on. `horizon_us`: how long after its event a label may come; None: as its own time says."""

    at_us: int
    horizon_us: int | None = None

    def parts(self, rows: pa.RecordBatch) -> dict[str, pa.RecordBatch]:
        """Rows with `__event_time`, and `__label_time` where they are labelled, by `train`, `test`, `crosses_split`."""
        times = batches.times_us(rows)
        before = times < self.at_us
        known_us = times
        if OF_ROW_TIME in rows.schema.names:
            known_us = batches.times_us(rows, OF_ROW_TIME) if self.horizon_us is None else times + self.horizon_us
        crosses = before & (known_us >= self.at_us)
        wanted = {TRAIN: before & ~crosses, TEST: ~before, CROSSES_SPLIT: crosses}
        return {part: batches.keep_rows(rows, np.flatnonzero(mask)) for part, mask in wanted.items() if mask.any()}
