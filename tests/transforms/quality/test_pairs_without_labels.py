"""Without labels, versions that scored the same events are compared all the same: once for each window, in batch and
stream alike."""

import random
from typing import Any

import pyarrow as pa
import pytest

from schemas import batches
from tests.transforms.quality.worlds import (
    CHALLENGER,
    CHAMPION,
    SECOND,
    SHADOW,
    answers,
    cut,
    key,
    labels,
    put_together,
    records_of,
    world,
)
from transforms.flow.sharding import hash_ids, split_by_shard
from transforms.quality.answers import PairedBy
from transforms.quality.held import HeldShard, in_time, next_due_us, reached
from transforms.quality.panes import Schedule

UNLABELLED = Schedule(window_us=100 * SECOND, lateness_us=20 * SECOND, horizon_us=None)
NO_LABELS = labels([], [], [], pa.bool_())
ALL_OVER_US = 10_000 * SECOND


def panes(given: list[pa.RecordBatch], seed: int, shards: int) -> list[Any]:
    """All panes of shards that see answers in a random order, and then the end of time."""
    rng = random.Random(seed)
    held: dict[int, HeldShard] = {}
    pieces = [piece for batch in given for piece in cut(rng, batch, 3)]
    for piece in rng.sample(pieces, len(pieces)):
        for shard, own in split_by_shard(piece, hash_ids(piece.column(batches.EVENT_ID)), shards):
            state = held.setdefault(shard, HeldShard())
            state.answers.append(in_time(own, state, UNLABELLED, -(2**62)))
    found = [pane for state in held.values() for pane in reached(state, UNLABELLED, pa.bool_(), ALL_OVER_US, 0).panes]
    assert [(state.answers, state.panes) for state in held.values()] == [([], {})] * len(held)
    return found


@pytest.mark.parametrize(("seed", "shards"), [(1, 1), (2, 4)])
def test_a_window_has_one_pane_of_each_pair_which_is_that_of_all_rows_together(seed: int, shards: int) -> None:
    given, _ = world(seed)
    parts: dict[Any, list[Any]] = {}
    for pane in panes(given, seed, shards):
        assert (type(pane.by), pane.pane) == (PairedBy, 0)
        parts.setdefault((pane.by, pane.start_us), []).append(pane.sums)
    found = [row for (by, _), sums in parts.items() for row in put_together(sums, by)]
    wanted = [row for row in records_of(given, NO_LABELS) if row["against"]]
    assert sorted(found, key=key) == sorted(wanted, key=key)
    assert {row["why"] for row in found if row["metric"] == "loss_difference"} == {"no pair has a label"}
    assert all(row["value"] is not None for row in found if row["metric"] == "difference")


def test_a_pane_is_due_when_its_window_and_the_lateness_are_over_and_waits_for_no_label() -> None:
    held, rows = HeldShard(), (["a", "b"], [SECOND, 2 * SECOND], [0.9, 0.1])
    for by in (SHADOW, CHALLENGER):
        held.answers.append(in_time(answers(by, *rows), held, UNLABELLED, -(2**62)))
    assert next_due_us(held, UNLABELLED) == 120 * SECOND
    assert reached(held, UNLABELLED, pa.bool_(), 119 * SECOND, 0).panes == []
    found = reached(held, UNLABELLED, pa.bool_(), 120 * SECOND, 0)
    assert (len(found.panes), found.letters, found.joined, held.answers) == (2, [], [], [])
    assert next_due_us(held, UNLABELLED) == 2**62


def test_versions_that_answer_different_events_make_no_pane() -> None:
    times, scores = [number * SECOND for number in range(9)], [0.9] * 9
    given = [answers(by, [f"{by.role}{at}" for at in times], times, scores) for by in (CHAMPION, CHALLENGER, SHADOW)]
    assert panes(given, 1, 1) == []
