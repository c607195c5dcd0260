"""Parts of events are joined again, in whatever order they come."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.features.join_features import gathered, joined
from transforms.flow.coders import encode_batch
from transforms.flow.state import StateFormatMismatch

NAMES = ("g", "f")


def part(rows: list[int], **columns: int) -> pa.RecordBatch:
    """Rows with these numbers, and columns of the number times a factor."""
    made = {
        "__row": pa.array(rows, pa.int64()),
        "__event_time": pa.array(rows, pa.int64()).cast(pa.timestamp("us", "UTC")),
    }
    return pa.RecordBatch.from_pydict(
        {**made, **{name: pa.array([row * by for row in rows], pa.int64()) for name, by in columns.items()}}
    )


def test_rows_that_every_part_has_are_joined_in_the_order_of_events() -> None:
    ready, rest = joined([part([3, 1, 2], plain=1), part([1, 3], f=10), part([2, 3, 1], g=100)], NAMES)
    assert ready is not None
    assert ready.schema.names == ["__event_time", "plain", *NAMES]
    assert ready.select(["plain", *NAMES]).to_pylist() == [
        {"plain": 3, "g": 300, "f": 30},
        {"plain": 1, "g": 100, "f": 10},
    ]
    assert [batch.column("__row").to_pylist() for batch in rest] == [[2], [], [2]]


@pytest.mark.parametrize("apart", [1, 8, 10**6, 2**55])
def test_rows_are_joined_however_far_apart_their_numbers_are(apart: int) -> None:
    rows = [row * apart for row in (7, 0, 3, -5)]
    parts = [part(rows, plain=1), part([*sorted(rows), 100 * apart], f=1), part([rows[2], rows[0]], g=1)]
    ready, rest = joined(parts, NAMES)
    assert ready is not None
    assert ready.select(["plain", *NAMES]).to_pylist() == [{"plain": r, "g": r, "f": r} for r in (rows[0], rows[2])]
    assert [batch.column("__row").to_pylist() for batch in rest] == [
        [rows[1], rows[3]],
        [rows[3], rows[1], 100 * apart],
        [],
    ]


def test_nothing_is_joined_while_no_event_is_complete() -> None:
    parts = [part([1, 2], plain=1), part([1], f=10), part([2], g=100)]
    assert joined(parts, NAMES) == (None, parts)


@settings(max_examples=50)
@given(st.permutations(range(6)), st.lists(st.integers(0, 2), min_size=1, max_size=30))
def test_parts_in_any_order_lose_and_double_nothing(rows: list[int], turns: list[int]) -> None:
    """Each turn brings one more row of one part; at the end come the rows that are left."""
    makers = (lambda row: part([row], plain=1), lambda row: part([row], f=10), lambda row: part([row], g=100))
    coming: list[list[int]] = [list(rows), list(reversed(rows)), sorted(rows)]
    held = [part([], plain=1), part([], f=10), part([], g=100)]
    found: list[int] = []
    for kind in [*turns, *([0, 1, 2] * 6)]:
        if not coming[kind]:
            continue
        held[kind] = pa.concat_batches([held[kind], makers[kind](coming[kind].pop())])
        if all(batch.num_rows for batch in held):
            ready, held = joined(held, NAMES)
            found += [] if ready is None else ready.column("plain").to_pylist()
    assert sorted(found) == sorted(rows)
    assert [batch.num_rows for batch in held] == [0, 0, 0]


def test_parts_that_a_job_with_other_features_left_are_named() -> None:
    left, new = part([1], former=1), part([2], present=1)
    waiting = [(0, encode_batch(part([1, 2], plain=1))), (1, encode_batch(left)), (1, encode_batch(new))]
    with pytest.raises(StateFormatMismatch, match="job was changed: former, present; next: let the job"):
        gathered(waiting, 2)
