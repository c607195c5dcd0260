"""The ids that a shard has seen, over many batches: none is forgotten too early, and each is rewritten few times."""

import numpy as np
import pyarrow as pa

from schemas import batches
from schemas.job import EventsSpec
from tests.transforms.beam.cells import Cell
from transforms.arrivals.seen_ids import SeenRun, contains
from transforms.arrivals.track_arrivals import _ArrivingFn

SECOND = 1_000_000
BATCHES, ROWS = 600, 10


class Counted(Cell):
    """A bag that counts the ids that were ever written to it."""

    written = 0

    def add(self, value: SeenRun) -> None:
        self.written += len(value.first)
        super().add(value)


def batch(number: int) -> pa.RecordBatch:
    """Ten events, one a second."""
    ids = pa.array([f"event-{number * ROWS + row}" for row in range(ROWS)])
    times = (np.arange(ROWS) + number * ROWS) * SECOND
    arrays = [ids, pa.array(times).cast(batches.TIME_TYPE)]
    return pa.RecordBatch.from_arrays(arrays, names=[batches.EVENT_ID, batches.EVENT_TIME])


def remembered(lateness_us: int) -> tuple[Counted, Counted]:
    """Both cells after many batches, with the watermark always at the beginning of the batch that arrives."""
    spec = EventsSpec("", "json", "id", "at", None, SECOND, (), (0, 2**60), "us")
    fn, seen, before = _ArrivingFn(spec, lateness_us, 1), Counted([]), Counted([])
    for number in range(BATCHES):
        cells = [(cell, list(cell.value)) for cell in (seen, before)]
        fn._remember(cells, batch(number), number * ROWS * SECOND)
    return seen, before


def test_ids_within_the_lateness_are_known_and_written_a_few_times_in_few_runs() -> None:
    seen, before = remembered(BATCHES * ROWS * SECOND)
    runs = [*seen.value, *before.value]
    assert len(runs) <= 32
    assert all(contains(runs, batch(number).column(batches.EVENT_ID)).all() for number in range(BATCHES))
    assert sum(len(run.first) for run in runs) == BATCHES * ROWS
    assert seen.written + before.written < 5 * BATCHES * ROWS


def test_ids_behind_the_lateness_are_dropped() -> None:
    seen, before = remembered(100 * ROWS * SECOND)
    runs = [*seen.value, *before.value]
    assert all(contains(runs, batch(number).column(batches.EVENT_ID)).all() for number in range(500, BATCHES))
    assert sum(len(run.first) for run in runs) < BATCHES * ROWS * 2 // 3
