"""A shard over time: its last panes equal the join of all answers with all labels, in any order and for any shards."""

import random
from typing import Any

import pyarrow as pa
import pytest

from schemas import batches
from schemas.columns import FairnessSpec
from tests.transforms.quality.worlds import (
    CHAMPION,
    SCHEDULE,
    SECOND,
    SHADOW,
    answers,
    key,
    labels,
    put_together,
    records_of,
    world,
)
from transforms.flow.sharding import hash_ids, split_by_shard
from transforms.quality.held import ALONE, Also, HeldShard, Reached, in_time, next_due_us, reached
from transforms.quality.panes import PANES
from transforms.quality.protected import FairnessRules
from transforms.quality.sums.group_sums import GroupSums

_BOOLEAN = pa.bool_()
_END_US = 2_000 * SECOND
FAIRNESS = FairnessRules(FairnessSpec((("team",),), (), max_groups=2, min_n=5))
EVENT = (batches.EVENT_ID, batches.EVENT_TIME)
LABEL = ("event_id", "label_time")


def lived(held: HeldShard, batch: pa.RecordBatch) -> None:
    if batch.schema.names[0] == LABEL[0]:
        held.labels.append(batch)
    else:
        held.answers.append(in_time(batch, held, SCHEDULE, -(2**62)))


def story(seed: int, shards: int, parts: int, also: Also = ALONE) -> list[Reached]:
    """All panes of all shards: input arrives in a random order, but before the pane that it belongs to; the watermark
    rises by random steps."""
    rng, (given, known) = random.Random(seed), world(seed)
    pieces = []
    for batch, (of, at) in ((given[0], EVENT), (given[1], EVENT), (known, LABEL)):
        for piece in (one for whole in split_by_shard(batch, hash_ids(batch.column(of)), shards)
                      for one in ((whole[0], part) for part in _cut(rng, whole[1], parts))):  # fmt: skip
            pieces.append((int(batches.times_us(piece[1], at).min()) + rng.randrange(15 * SECOND), *piece))
    pieces.sort(key=lambda each: each[0])
    states = {shard: HeldShard() for shard in range(shards)}
    found, watermark = [], 0
    for arrival, shard, batch in pieces:
        while watermark < arrival:
            watermark = min(arrival, watermark + rng.randrange(1, 60 * SECOND))
            found += [_step(state, watermark, also) for state in states.values()]
        lived(states[shard], batch)
    return found + [_step(state, _END_US, also) for state in states.values()]


def _cut(rng: random.Random, batch: pa.RecordBatch, parts: int) -> list[pa.RecordBatch]:
    """By time, so that no part waits long for its last row."""
    times = batches.times_us(batch, EVENT[1] if batch.schema.names[0] == EVENT[0] else LABEL[1])
    code = times // (5 * SECOND) * parts + [rng.randrange(parts) for _ in range(batch.num_rows)]
    return [part for _, part in split_by_shard(batch, code.astype("uint64"), 2**31)]


def _step(state: HeldShard, watermark: int, also: Also = ALONE) -> Reached:
    return reached(state, SCHEDULE, _BOOLEAN, watermark, 0, also)


@pytest.mark.parametrize(
    ("seed", "shards", "parts", "fairness"), [(1, 1, 1, None), (2, 3, 1, FAIRNESS), (3, 8, 2, FAIRNESS)]
)
def test_last_panes_of_any_order_equal_the_join_of_everything(
    seed: int, shards: int, parts: int, fairness: FairnessRules | None
) -> None:
    given, known = world(seed)
    panes = [pane for each in story(seed, shards, parts, Also(fairness=fairness)) for pane in each.panes]
    last: dict[Any, list[Any]] = {}
    for each in panes:
        if each.pane == PANES - 1:
            last.setdefault((each.by, each.start_us), []).append(each.sums)
    rows = [row for (by, _), sums in last.items() for row in put_together(sums, by)]
    assert sorted(rows, key=key) == sorted(records_of(given, known, fairness=fairness), key=key)
    assert any(row["metric"] == "equalized_odds_difference" for row in rows) == (fairness is not None)


@pytest.mark.parametrize(("seed", "shards"), [(4, 2), (5, 5)])
def test_each_label_beyond_the_horizon_is_a_letter(seed: int, shards: int) -> None:
    steps = story(seed, shards, 1)
    letters = sorted(letter.event_id or "" for each in steps for letter in each.letters)
    given, known = world(seed)
    times = {row[EVENT[0]]: row[EVENT[1]].timestamp() for row in given[0].to_pylist()}
    late = [row["event_id"] for row in known.to_pylist() if row["event_id"] in times
            and (row["label_time"].timestamp() - times[row["event_id"]]) * SECOND > SCHEDULE.horizon_us]  # fmt: skip
    assert letters == sorted(late)
    of_none = sum(row["event_id"] not in times for row in known.to_pylist())
    assert sum(each.without_event for each in steps) == of_none
    assert sum(number for each in steps for joined in each.joined for number in joined.counts().values()) == 400


def test_a_pane_counts_the_labels_that_were_known_when_it_was_due_and_no_others() -> None:
    held = HeldShard()
    lived(held, answers(CHAMPION, ["a", "b", "c"], [SECOND, 2 * SECOND, 3 * SECOND], [0.9, 0.1, 0.7]))
    # The first pane is due at 120 s, the others 10, 20, 40 and 80 s later.
    lived(held, labels(["a", "b", "a"], [5 * SECOND, 75 * SECOND, 81 * SECOND], [True, False, False]))
    lived(held, labels(["c"], [83 * SECOND], [True]))
    assert next_due_us(held, SCHEDULE) == 120 * SECOND
    panes = [pane for pane in reached(held, SCHEDULE, _BOOLEAN, _END_US, 0).panes if pane.by == CHAMPION]
    labelled = [int(pane.sums.counts[0, 1]) for pane in panes if isinstance(pane.sums, GroupSums)]
    assert ([pane.pane for pane in panes], labelled) == ([0, 1, 2, 3, 4], [3, 3, 3, 3, 3])
    assert (held.answers, held.labels, held.panes) == ([], [], {})


def test_answers_after_the_first_pane_of_their_window_are_in_no_other() -> None:
    held = HeldShard()
    lived(held, answers(CHAMPION, ["a"], [SECOND], [0.9]))
    _step(held, 121 * SECOND)
    assert in_time(answers(CHAMPION, ["b"], [2 * SECOND], [0.5]), held, SCHEDULE, 121 * SECOND).num_rows == 0
    both = answers(CHAMPION, ["c", "d"], [3 * SECOND, 150 * SECOND], [0.5, 0.5])
    assert in_time(both, held, SCHEDULE, 121 * SECOND).column(EVENT[0]).to_pylist() == ["d"]


def test_labels_that_no_answer_can_have_any_more_are_dropped_and_others_are_held() -> None:
    held = HeldShard()
    lived(held, labels(["x", "y"], [10 * SECOND, 110 * SECOND], [True, True]))
    assert (_step(held, 119 * SECOND).without_event, len(held.labels)) == (0, 1)
    assert (_step(held, 120 * SECOND).without_event, held.labels[0].num_rows) == (1, 1)
    assert (_step(held, 220 * SECOND).without_event, held.labels) == (1, [])


def dropped() -> HeldShard:
    """A shard whose only window, of answers of a champion and a shadow, had its last pane at 200 s."""
    held = HeldShard()
    for by in (CHAMPION, SHADOW):
        lived(held, answers(by, ["a", "b", "c"], [SECOND, 2 * SECOND, 3 * SECOND], [0.9, 0.1, 0.7]))
    _step(held, 200 * SECOND)
    assert (held.answers, held.panes, next_due_us(held, SCHEDULE)) == ([], {}, 280 * SECOND)
    return held


def told(held: HeldShard, at_s: int, *known: tuple[str, int]) -> tuple[list[tuple[str, str | None, str]], int, int]:
    """Letters, labels of no event, and labels that are held, once labels have come and a watermark is reached."""
    lived(held, labels([of for of, _ in known], [at * SECOND for _, at in known], [True] * len(known)))
    found = _step(held, at_s * SECOND)
    letters = [(letter.error, letter.event_id, letter.detail) for letter in found.letters]
    return letters, found.without_event, sum(batch.num_rows for batch in held.labels)


def test_labels_of_answers_that_are_dropped_are_letters_for_one_more_horizon() -> None:
    beyond = "known 1m22s after its event; expected: at most labels.horizon, 1m20s"
    after = "known 5s after its event, but read after the last pane of the event's window; expected: before it"
    held = dropped()
    found, without, left = told(held, 279, ("b", 84), ("c", 8), ("x", 100), ("y", 250))
    assert found == [("BeyondHorizon", "b", beyond), ("AfterLastPane", "c", after)]
    assert (without, left, len(held.let_go)) == (1, 1, 1)  # an answer to `y` may still come
    assert told(held, 280, ("a", 82))[0][0][:2] == ("BeyondHorizon", "a")
    assert held.let_go == []
    assert told(held, 400, ("a", 120)) == ([], 2, 0)


def test_a_dropped_answer_is_known_by_sixteen_bytes_whatever_its_roles() -> None:
    [known] = dropped().let_go
    assert (known.until_us, len(known.hashes) + len(known.times_us)) == (280 * SECOND, 3 * 16)


def test_an_event_that_is_answered_again_has_the_label_as_its_own() -> None:
    held = dropped()
    lived(held, answers(CHAMPION, ["a"], [230 * SECOND], [0.9]))
    assert told(held, 240, ("a", 235)) == ([], 0, 1)
