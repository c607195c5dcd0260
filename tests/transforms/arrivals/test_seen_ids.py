"""One event per id: which of several with the same id passes, and how ids are kept and forgotten."""

import numpy as np
import pyarrow as pa

from transforms.arrivals.seen_ids import compacted, contains, first_of_each, run_of


def events(*rows: tuple[str, int, bytes]) -> pa.RecordBatch:
    """Events of (id, time, payload)."""
    ids, times, payloads = zip(*rows, strict=True) if rows else ((), (), ())
    time = pa.array(times, pa.int64()).cast(pa.timestamp("us", "UTC"))
    return pa.RecordBatch.from_arrays(
        [pa.array(ids, pa.string()), time, pa.array(payloads, pa.binary())], ["__event_id", "__event_time", "__payload"]
    )


def test_smallest_time_then_payload_passes_whatever_the_order() -> None:
    rows = [("a", 2, b"x"), ("b", 5, b"z"), ("a", 1, b"y"), ("a", 1, b"x"), ("c", 9, b"")]
    for turn in range(len(rows)):
        turned = rows[turn:] + rows[:turn]
        passing = [row for row, passes in zip(turned, first_of_each(events(*turned)), strict=True) if passes]
        assert sorted(passing) == [("a", 1, b"x"), ("b", 5, b"z"), ("c", 9, b"")]


def test_of_wholly_equal_events_one_passes() -> None:
    assert first_of_each(events(("a", 1, b"x"), ("a", 1, b"x"))).sum() == 1
    assert first_of_each(events()).tolist() == []


def test_runs_contain_the_ids_they_were_made_of_and_nothing_else() -> None:
    ids = [f"flight-{number}" for number in range(1000)]
    runs = [run_of(pa.array(ids[part::3]), np.arange(len(ids[part::3]))) for part in range(3)]
    assert contains(runs, pa.array(ids)).all()
    assert not contains(runs, pa.array([f"{name}x" for name in ids])).any()
    assert not contains([], pa.array(ids)).any()


def test_compacted_runs_keep_ids_from_a_time_on() -> None:
    runs = [run_of(pa.array(["a", "b"]), np.array([1, 7])), run_of(pa.array(["c", "d"]), np.array([5, 4]))]
    whole = compacted(runs, 5)
    assert whole is not None
    assert contains([whole], pa.array(["a", "b", "c", "d"])).tolist() == [False, True, True, False]
    assert compacted(runs, 8) is None
