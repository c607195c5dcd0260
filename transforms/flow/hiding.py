"""What a job's `privacy` does to the records of its steps, and where a step gets it. Without the section nothing of it
is imported."""

from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.job import EventsSpec


class Hides(Protocol):
    """Makes records that say nothing of a person without his key."""

    def event_ids(self, events: pa.RecordBatch) -> pa.Array:
        """The ids of events as records have them."""

    def receipts(self, receipts: pa.RecordBatch) -> pa.RecordBatch:
        """Receipts as they are stored. Their `score_id`s must be of `event_ids`."""

    def scores(self, receipts: pa.RecordBatch, stored: pa.RecordBatch) -> pa.RecordBatch:
        """The scores of receipts, which are `stored` so."""

    def letters(
        self, letters: pa.RecordBatch, subjects: list[str | None], events: list[str | None] | None = None
    ) -> pa.RecordBatch:
        """Dead letters as they are stored, with whom each is about; `events`: of labels, the event of each."""

    def training_rows(self, rows: pa.RecordBatch, events: pa.RecordBatch) -> pa.RecordBatch:
        """Rows of a training set as they are stored, each of the event in the same row."""

    def erased(self, events: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        """Which events are of subjects that were erased, and are refused therefore."""

    def emptied(self, letters: pa.RecordBatch) -> pa.RecordBatch:
        """Dead letters of which no bytes are kept."""


def hiding_of(events: EventsSpec | None) -> Hides | None:
    """What hides the records of a job with these events, in a process that is about to work; None where they are in
    plain. Keys that this process knows already are looked at again."""
    if events is None or events.privacy is None:
        return None
    from transforms.flow.private_records import PrivateRecords

    return PrivateRecords(events.privacy, events.hides_ids)
