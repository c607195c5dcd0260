"""Labels joined to events: equal to a search through all of them, in any order."""

import random
from typing import Any

import pyarrow as pa
import pytest

from transforms.labels.label_join import OUTCOMES, JoinedLabels, join_labels, labels_table

_TIME = pa.timestamp("us", tz="UTC")
Label = tuple[str, Any, int]


def joined(events: list[tuple[str, int]], labels: list[Label], horizon_us: int | None, kind: pa.DataType) -> Any:
    ids, times = pa.array([each[0] for each in events], pa.string()), pa.array([each[1] for each in events], pa.int64())
    columns = [pa.array([each[index] for each in labels], as_type)
               for index, as_type in ((0, pa.string()), (1, kind), (2, pa.int64()))]  # fmt: skip
    batch = pa.RecordBatch.from_arrays([*columns[:2], columns[2].cast(_TIME)], ["event_id", "label", "label_time"])
    table = labels_table([batch], kind)
    return join_labels(pa.chunked_array([ids]), pa.chunked_array([times.cast(_TIME)]), table, horizon_us)


def expected(event: tuple[str, int], labels: list[Label], horizon_us: int | None) -> tuple[str, Any]:
    """The outcome and the label of one event, found by looking at each label."""
    own = [each for each in labels if each[0] == event[0]]
    known = [each for each in own if each[1] is not None]
    until = float("inf") if horizon_us is None else event[1] + horizon_us
    usable = [each for each in known if event[1] <= each[2] <= until]
    if usable:
        return "labelled", max(usable, key=lambda each: (each[2], each[1]))[1]
    if not own:
        return "no_label", None
    if not known:
        return "null_label", None
    return ("after_horizon" if any(each[2] > until for each in known) else "before_event"), None


KINDS: list[tuple[pa.DataType, list[Any]]] = [
    (pa.float64(), [1.5, -2.0, None]),
    (pa.bool_(), [True, False, None]),
    (pa.string(), ["a", "ä", "", None]),
]


@pytest.mark.parametrize("horizon_us", [None, 0, 4])
@pytest.mark.parametrize(("kind", "values"), KINDS, ids=[str(kind) for kind, _ in KINDS])
def test_join_finds_what_a_search_through_all_labels_finds(
    kind: pa.DataType, values: list[Any], horizon_us: int | None
) -> None:
    rng = random.Random(7)
    events = [(f"e{number}", rng.randrange(12)) for number in range(300)]
    labels = [(f"e{rng.randrange(400)}", rng.choice(values), rng.randrange(16)) for _ in range(400)]
    found = joined(events, labels, horizon_us, kind)
    outcomes = [OUTCOMES[code] for code in found.outcomes]
    wanted = [expected(event, labels, horizon_us) for event in events]
    assert list(zip(outcomes, found.values.to_pylist(), strict=True)) == wanted
    assert {outcome for outcome, _ in wanted} >= {"labelled", "no_label", "before_event"}
    ids = {name for name, _ in events}
    assert found.without_event == sum(name not in ids for name, _, _ in labels)
    rng.shuffle(labels)
    again: JoinedLabels = joined(events, labels, horizon_us, kind)
    assert (again.values, again.times, again.repeated, again.contradicted) == (
        found.values, found.times, found.repeated, found.contradicted
    )  # fmt: skip


@pytest.mark.parametrize(("events", "labels"), [([], [("a", 1.0, 3)]), ([("a", 1)], []), ([], [])])
def test_nothing_joins_with_nothing(events: list[tuple[str, int]], labels: list[Label]) -> None:
    found = joined(events, labels, 5, pa.float64())
    assert found.counts() == ({"no_label": 1} if events else {})
    assert found.without_event == len(labels)


def test_a_hundred_thousand_events_with_labels_at_as_many_times_are_labelled() -> None:
    # 2^31 is reached from about 46,000 ids and times on.
    n = 100_000
    found = joined([(str(i), i) for i in range(n)], [(str(i), i, i + 5) for i in range(n)], 10, pa.int64())
    assert found.counts() == {"labelled": n}
    assert found.values.to_pylist() == list(range(n))


def test_one_label_of_each_event_and_as_many_rows_with_repeats_and_nulls_are_told_apart() -> None:
    """As many ids as labels that have a value, although one id has two of them and another has none."""
    labels: list[Label] = [("a", True, 5), ("b", None, 5), ("a", False, 6)]
    found = joined([("a", 1), ("b", 1)], labels, 10, pa.bool_())
    assert (found.values.to_pylist(), found.contradicted) == ([False, None], 1)
    alone = joined([("a", 1), ("b", 9), ("c", 1)], [("a", True, 5), ("b", False, 5)], 3, pa.bool_())
    assert [OUTCOMES[code] for code in alone.outcomes] == ["after_horizon", "before_event", "no_label"]


@pytest.mark.parametrize(
    ("events", "given"),
    [
        (["a", "a"], [("a", 1, 5), ("a", 2, 50)]),
        (["a"], [("a", 1, 5), ("a", None, 50)]),
        (["a", "b"], [("b", 1, 5), ("b", 2, 6), ("a", 3, 50)]),
    ],
    ids=["an event that is there twice", "a null", "another event has two"],
)
def test_that_a_label_is_beyond_the_horizon_is_told_whatever_else_there_is(
    events: list[str], given: list[Label]
) -> None:
    found = [joined([(event, 4) for event in events], given[:many], 10, pa.int64()) for many in (1, len(given))]
    assert [each.out_of_time for each in found] == [False, True]
