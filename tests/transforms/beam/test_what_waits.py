"""Many events that wait: what a batch reads of them does not grow, and none is lost, duplicated or late."""

from collections.abc import Iterator
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import batches
from schemas.job import FeatureSpec
from tests.transforms.beam.cells import Cell, ShardCells
from tests.transforms.beam.test_coarse_timers import CoarseTimers
from transforms.features import join_features, window_features
from transforms.features.feature_state import NEVER_US
from transforms.features.key_plans import KEY, plan_key
from transforms.features.waiting import Waits
from transforms.flow.coders import decode_batch, encode_batch
from transforms.flow.state import Plain, StateFormatMismatch, VersionedStateCoder

SECOND = 1_000_000
MINUTE = 60 * SECOND
STEPS = (5 * MINUTE, 30 * SECOND)
ROWS_A_BATCH = 50


class Counted(ShardCells):
    """Counts the rows that are read from state."""

    def __init__(self, fn: Any, timer: Any = lambda name: Cell()) -> None:
        super().__init__(fn, timer)
        self.rows_read = 0

    def _made(self, parameter: Any) -> Any:
        made = super()._made(parameter)
        return Counting(self) if isinstance(made.value, list) else made


class Counting(Cell):
    def __init__(self, counts: Counted) -> None:
        super().__init__([])
        self._counts = counts

    def read(self) -> Any:
        for value in self.value:
            self._counts.rows_read += rows_of(value)
        return self.value


def rows_of(value: Any) -> int:
    """The number of rows of a value in a bag, which is a batch, or a part with its number."""
    if isinstance(value, tuple) and isinstance(value[1], bytes):
        value = decode_batch(value[1])
    return value.num_rows if isinstance(value, pa.RecordBatch) else 0


def part(rows: list[int], at_us: list[int], **columns: int) -> pa.RecordBatch:
    times = pa.array(at_us, pa.int64()).cast(batches.TIME_TYPE)
    made = {batches.ROW: pa.array(rows, pa.int64()), batches.EVENT_TIME: times}
    return pa.RecordBatch.from_pydict(made | {name: [row * by for row in rows] for name, by in columns.items()})


def arriving_fn(steps: tuple[int, ...] = STEPS) -> join_features._ArrivingFn:
    return join_features._ArrivingFn(("f", "g"), 3, steps)


MAKERS = ({"plain": 1}, {"f": 10}, {"g": 100})


@settings(max_examples=30)
@given(st.lists(st.integers(0, 40 * 60), min_size=1, max_size=60), st.sampled_from([STEPS, (SECOND,)]), st.randoms())
def test_a_row_is_joined_as_soon_as_all_of_its_parts_have_come(
    seconds: list[int], steps: tuple[int, ...], random: Random
) -> None:
    cells = ShardCells(arriving_fn(steps))
    coming = [(kind, row) for kind in range(3) for row in range(len(seconds))]
    random.shuffle(coming)
    have: list[set[int]] = [set(), set(), set()]
    while coming:
        kind, count = coming[0][0], random.randint(1, 6)
        chosen = [row for own, row in coming if own == kind][:count]
        coming = [one for one in coming if one[0] != kind or one[1] not in chosen]
        piece = part(chosen, [seconds[row] * SECOND for row in chosen], **MAKERS[kind])
        before = set.intersection(*have)
        have[kind] |= set(chosen)
        found = cells.called("process", (0, (kind, encode_batch(piece))))
        rows = [row for one in found for row in one.value.to_pylist()]
        assert {row["plain"] for row in rows} == set.intersection(*have) - before
        assert all((row["f"], row["g"]) == (row["plain"] * 10, row["plain"] * 100) for row in rows)
    assert cells.held() == 0
    assert len(cells.found) == len({id(one) for one in cells.found})


def joined_with(waiting_rows: int) -> Iterator[int]:
    """Rows read for each of 20 batches that are complete at once, while `waiting_rows` rows wait."""
    cells = Counted(arriving_fn())
    ahead = [10 * MINUTE + number * (30 * MINUTE // waiting_rows) for number in range(waiting_rows)]
    for start in range(0, waiting_rows, ROWS_A_BATCH):
        rows = list(range(start, min(start + ROWS_A_BATCH, waiting_rows)))
        cells.called("process", (0, (0, encode_batch(part(rows, [ahead[row] for row in rows], plain=1)))))
    for batch in range(20):
        rows = [waiting_rows + batch * ROWS_A_BATCH + row for row in range(ROWS_A_BATCH)]
        before = cells.rows_read
        for kind, columns in enumerate(MAKERS):
            piece = part(rows, [batch * SECOND] * ROWS_A_BATCH, **columns)
            found = cells.called("process", (0, (kind, encode_batch(piece))))
        assert sum(one.value.num_rows for one in found) == ROWS_A_BATCH
        yield cells.rows_read - before


@pytest.mark.parametrize("waiting_rows", [500, 5_000, 30_000])
def test_a_join_reads_what_may_be_complete_however_many_rows_wait(waiting_rows: int) -> None:
    _, *later = joined_with(waiting_rows)  # the first one also finds out what is due
    assert max(later) <= 3 * ROWS_A_BATCH


def observed(first: int, at_us: list[int]) -> pa.RecordBatch:
    times = pa.array(at_us, pa.int64()).cast(batches.TIME_TYPE)
    numbers = range(first, first + len(at_us))
    ids, keys = [f"e{number}" for number in numbers], [f"k{number % 7}" for number in numbers]
    names = [batches.EVENT_ID, batches.EVENT_TIME, batches.ROW, KEY]
    return pa.RecordBatch.from_arrays([pa.array(ids), times, pa.array(numbers), pa.array(keys)], names=names)


def streamed(step_us: int, disorder_us: int, seconds: int, a_second: int) -> tuple[Counted, int]:
    """A shard after these seconds of events, with the watermark behind by the disorder, and the number of events."""
    plan = plan_key([FeatureSpec("n", "key", None, "count", 2 * step_us, step_us)], "key")
    timers = CoarseTimers(most=10**9)
    cells = Counted(window_features._ArrivingFn(plan, 0, 100, 1), timers.timer)
    events, moment = 0, 0
    for second in range(seconds):
        moment = second * SECOND
        at_us = [moment + number * SECOND // a_second for number in range(a_second)]
        cells.called("process", (0, observed(events, at_us)))
        events += a_second
        timers.reach(moment - disorder_us, cells.fire)
    return cells, events


@pytest.mark.parametrize(("step_us", "reads"), [(5 * MINUTE, 8), (MINUTE, 12), (10 * SECOND, 25)])
def test_a_row_is_read_a_few_times_while_thousands_wait_for_half_an_hour(step_us: int, reads: int) -> None:
    cells, events = streamed(step_us, 30 * MINUTE, 60 * 60, 10)
    assert cells.rows_read <= reads * events


@pytest.mark.parametrize("disorder_us", [250_000, 30 * MINUTE])
def test_every_event_is_served_once_whatever_it_waited_for(disorder_us: int) -> None:
    cells, events = streamed(MINUTE, disorder_us, 40 * 60, 5)
    cells.called("last_reached", Timestamp(micros=3600 * SECOND))
    rows = [row for one in cells.found for row in one.value.column(batches.ROW).to_pylist()]
    assert sorted(rows) == list(range(events))
    assert cells["waits"] is None
    assert cells["tables"][1] > NEVER_US


def test_state_of_the_former_format_is_refused() -> None:
    former = VersionedStateCoder("tiles", 2, Plain(None)).encode(None)
    with pytest.raises(StateFormatMismatch, match="written as b'halflife/tiles/2'"):
        window_features._Cells().tables.state_spec.coder.decode(former)


def test_rows_that_wait_for_the_features_of_other_keys_are_refused() -> None:
    cells = ShardCells(arriving_fn())
    piece = encode_batch(part([1], [MINUTE], plain=1))
    cells.called("process", (0, (0, piece)))
    cells._fn = join_features._ArrivingFn(("f",), 2, STEPS)
    with pytest.raises(StateFormatMismatch, match="of 2 keys from before the job was changed, this one has 1"):
        cells.called("process", (0, (0, piece)))
    cells.by_name["joins"].write(join_features.Joins((0, 0, 0), (0, 0, 0), Waits()))  # none waits: the job may change
    assert cells.called("process", (0, (0, piece))) == []
