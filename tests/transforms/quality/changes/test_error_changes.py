"""Changes of errors: those that river sees in the sorted stream, in any order of events and of partial sums."""

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from river.drift import ADWIN, PageHinkley

from schemas.job import ConceptDriftSpec
from tests.transforms.quality.changes.streams import (
    DECIDES,
    HOUR_US,
    NUMBERS,
    SPEC,
    Errors,
    blocks,
    by_hand,
    changes,
    errors,
)
from transforms.quality.changes import detectors
from transforms.quality.changes.change_records import EPOCH, NO_CHANGE, NO_LIBRARY, readings, windows_of
from transforms.quality.changes.detectors import DETECTORS
from transforms.quality.changes.error_changes import FEWEST, ErrorBlock, WindowErrors, blocks_of, error_changes
from transforms.quality.sums.error_sums import PARTS, added_errors, sums_of_errors
from transforms.quality.sums.group_sums import Beside
from transforms.quality.sums.sums_coder import decode_sums, encode_sums


def _river(detector: str) -> Any:
    page_hinkley = PageHinkley(min_instances=4, delta=0.5, threshold=8.0, alpha=1.0)
    return ADWIN(delta=0.002, clock=1) if detector == "adwin" else page_hinkley  # type: ignore[no-untyped-call]  # of river


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize(("seed", "later"), [(1, 0.3), (2, 0.2), (3, 0.03), (4, 0.1)])
def test_first_change_is_where_river_sees_it_in_the_sorted_errors(detector: str, seed: int, later: float) -> None:
    found = errors(seed, 20_000, 0.1, later)
    seen = by_hand(found, _river(detector))
    assert [each.seen_us for each in changes(found, detector)][:1] == seen
    assert bool(seen) == (later != 0.1)


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_change_is_dated_where_it_began_with_the_errors_before_and_since(detector: str) -> None:
    found = errors(5, 20_000, 0.1, 0.3)
    (change,) = changes(found, detector)
    assert abs(change.begins_us - 48 * HOUR_US) <= HOUR_US // 4
    assert change.before == pytest.approx(0.1, abs=0.01)
    assert change.after == pytest.approx(0.3, abs=0.06)
    since = (found.times_us >= change.begins_us) & (found.times_us < change.seen_us)
    assert change.n == np.count_nonzero(since)
    assert change.after == pytest.approx(np.mean(found.wrong[since]))


@pytest.mark.parametrize(("seed", "shards"), [(6, 2), (7, 5)])
def test_any_order_and_any_shards_of_the_same_errors_have_equal_changes(seed: int, shards: int) -> None:
    found, rng = errors(seed, 20_000, 0.1, 0.2), random.Random(seed)
    whole = sums_of_errors(found.beside(), DECIDES, HOUR_US)
    rows = np.array(rng.sample(range(20_000), 20_000))
    parts = [sums_of_errors(found.beside(part), DECIDES, HOUR_US) for part in np.array_split(rows, shards)]
    rng.shuffle(parts)
    added = added_errors([decode_sums(encode_sums(part)) for part in parts])  # type: ignore[misc]  # errors stay errors
    assert blocks(added) == blocks(whole)
    for detector in DETECTORS:
        found_in = [error_changes(blocks(sums), detector, SPEC, shares=True) for sums in (added, whole)]
        assert found_in[0] == found_in[1]
        assert len(found_in[0]) == 1


def test_adwin_sees_errors_that_double_soon_after_it_began_to_read() -> None:
    """A level that follows the errors would hide from it what it has not yet seen much before of."""
    found = errors(11, 12_000, 0.23, 0.43, hours=240)
    (change,) = changes(found, "adwin", ConceptDriftSpec(block=100, parts=4))
    assert abs(change.begins_us - 120 * HOUR_US) <= 4 * HOUR_US
    assert change.seen_us - change.begins_us < 60 * HOUR_US


def test_errors_that_are_a_fifth_more_are_seen_and_dated() -> None:
    found = errors(10, 80_000, 0.1, 0.12, hours=400)
    (change,) = changes(found, "page_hinkley", ConceptDriftSpec(block=200, parts=1))
    assert abs(change.begins_us - 200 * HOUR_US) <= 10 * HOUR_US
    assert change.before == pytest.approx(0.1, abs=0.01)
    assert change.after == pytest.approx(0.12, abs=0.01)


def test_ten_thousand_segments_cost_detectors_nothing() -> None:
    found = errors(11, 10_000, 0.1, 0.1)
    segments = {"origin": pa.array([f"s{number}" for number in range(10_000)])}
    sums = sums_of_errors(found.beside()._replace(segments=segments), DECIDES, HOUR_US)
    assert encode_sums(sums) == encode_sums(sums_of_errors(found.beside(), DECIDES, HOUR_US))


def test_sums_of_numbers_are_exact_in_any_order() -> None:
    rng = np.random.default_rng(8)
    times, scores = rng.integers(0, 40 * HOUR_US, 5_000), rng.normal(0, 1e3, 5_000)
    labels = pa.array(rng.normal(0, 1e-3, 5_000))
    whole = Beside(times, scores, labels, {})
    parts = [whole.taken(part) for part in np.array_split(rng.permutation(5_000), 3)]
    added = added_errors([sums_of_errors(part, NUMBERS, HOUR_US) for part in parts])
    alone = sums_of_errors(whole, NUMBERS, HOUR_US)
    assert added.totals().tobytes() == alone.totals().tobytes()
    assert np.array_equal(added.in_part, alone.in_part)


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("mean", [0.0, 0.1, 1.0, 1e-300, 1e75])
def test_constant_errors_are_no_change(detector: str, mean: float) -> None:
    same = [ErrorBlock(at, at + 1, 50 + at % 3, mean) for at in range(200)]
    assert error_changes(same, detector, SPEC, shares=False) == []
    assert error_changes([each._replace(n=1) for each in same[:1]], detector, SPEC, shares=False) == []


@pytest.mark.parametrize("detector", DETECTORS)
def test_constant_errors_that_jump_are_a_change_and_then_none(detector: str) -> None:
    same = [ErrorBlock(at, at + 1, 50, 0.1 if at < 100 else 0.2) for at in range(200)]
    found = error_changes(same, detector, SPEC, shares=False)
    (change,) = found
    assert change.begins_us == 100
    assert change.before == pytest.approx(0.1)
    assert change.after == pytest.approx(0.2)


@pytest.mark.parametrize("detector", DETECTORS)
def test_one_wrong_decision_after_thousands_that_were_right_is_no_change(detector: str) -> None:
    right = [ErrorBlock(at, at + 1, 200, 0.0 if at != 60 else 0.005) for at in range(90)]
    assert error_changes(right, detector, SPEC, shares=True) == []


def _said(windows: list[WindowErrors], wanted: Any = None) -> list[tuple[int, str | None]]:
    found = readings(windows, ConceptDriftSpec(("page_hinkley",), block=1, parts=1), 1000, shares=True, wanted=wanted)
    return [(each.window.start_us, each.why or "change") for each in found]


def _window(at: int, labelled: int, wrong: int) -> WindowErrors:
    counts, totals = np.zeros(PARTS, np.int64), np.zeros(PARTS)
    counts[0], totals[0] = labelled, wrong
    return WindowErrors(at * 1000, 100, counts, totals)


def test_a_block_that_a_silence_interrupts_is_dated_after_it() -> None:
    spec = ConceptDriftSpec(block=25, parts=1)
    found = blocks_of([_window(at, 10, 1) for at in (0, 1, 60, 61, 62, 63, 70, 71)], spec, 1000)
    assert [(each.start_us, each.end_us, each.n) for each in found] == [(60_000, 61_000, 30), (61_000, 64_000, 30)]


def test_what_is_said_of_a_window_does_not_depend_on_later_ones() -> None:
    rng = random.Random(9)
    windows = [_window(at, 100, sum(rng.random() < (0.1 if at < 60 else 0.3) for _ in range(100))) for at in range(100)]
    whole = _said(windows)
    assert [start for start, why in whole if why == "change"] != []
    assert all(_said(windows[: at + 1], [at * 1000]) == [whole[at]] for at in range(0, 100, 7))


def test_a_worker_without_the_library_says_so_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detectors, "find_spec", lambda name: None)
    assert _said([_window(at, 10, 1) for at in range(3)]) == [(at * 1000, NO_LIBRARY) for at in range(3)]


def test_windows_without_labels_and_with_too_few_say_why_there_is_no_change() -> None:
    said = [why for _, why in _said([_window(0, 0, 0), *(_window(at, 10, 1) for at in range(1, 40))])]
    assert said[0] == "no labelled event"
    assert said[1] == f"too few labelled events: 1 blocks; expected: more than {FEWEST}"
    assert (said[FEWEST], said[FEWEST + 1]) == ("too few labelled events: 31 blocks; expected: more than 31", NO_CHANGE)
    assert [why for _, why in _said([_window(5, 1, 1)])] == [
        "too few labelled events: 1 blocks; expected: more than 31"
    ]


def test_detectors_begin_anew_from_event_times_alone_so_that_what_they_read_is_bounded() -> None:
    windows = [_window(at, 10, at % 3) for at in range(3 * EPOCH)]
    late = windows[EPOCH:]
    wanted = [each.start_us for each in windows[2 * EPOCH :]]
    assert _said(windows, wanted) == _said(late, wanted)


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.7])
def test_errors_that_depend_on_each_other_and_do_not_change_are_seldom_a_change(detector: str, rho: float) -> None:
    """40 streams of 200 blocks of 200 events, with fixed seeds; benchmarks/concept_drift.py has a thousand."""
    assert sum(bool(found) for found in _stationary(detector, rho, 40)) <= (0 if detector == "adwin" else 3)


def _stationary(detector: str, rho: float, streams: int) -> list[Any]:
    found = []
    for seed in range(streams):
        rng = np.random.default_rng(seed)
        steps = rng.standard_normal((200, 200)).ravel() * np.sqrt(1 - rho**2)
        latent = np.empty_like(steps)
        state = 0.0
        for index, step in enumerate(steps.tolist()):
            state = rho * state + step
            latent[index] = state
        means = (latent > 1.2816).reshape(200, 200).mean(axis=1).tolist()
        own = [ErrorBlock(at, at + 1, 200, mean) for at, mean in enumerate(means)]
        found.append(error_changes(own, detector, SPEC, shares=True))
    return found


def test_errors_of_a_decision_a_class_a_probability_and_a_number() -> None:
    kinds: dict[str, Any] = {"decides": (DECIDES, [0.9, 0.9], [True, False], [0, 1]),
             "number": (NUMBERS, [2.0, 1.0], [1.5, 3.0], [0.5, 2.0]),
             "probability": (DECIDES_NOT, [0.9, 0.2], [True, True], [0.01, 0.64])}  # fmt: skip
    for by, scores, known, wanted in kinds.values():
        sums = sums_of_errors(Beside(np.array([0, 1]), np.array(scores), pa.array(known), {}), by, HOUR_US)
        assert sums.totals().sum() == pytest.approx(sum(wanted))
        assert (int(sums.in_part.sum()), sums.events.tolist()) == (2, [2])


DECIDES_NOT = DECIDES.__class__("v1", "champion", "d1", "probability", None, "late")


def test_a_window_of_events_of_which_none_has_a_label_has_no_error() -> None:
    none = Errors(np.array([5, 6], np.int64), np.array([False, True]))
    sums = sums_of_errors(none.beside()._replace(labels=pa.nulls(2, pa.bool_())), DECIDES, HOUR_US)
    assert [(each.events, each.in_part.sum()) for each in windows_of(sums)] == [(2, 0)]


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize(("at", "since"), [(8, 8), (15, 15), (24, 24), (29, 29)])
def test_errors_that_grow_while_a_detector_learns_are_a_change(detector: str, at: int, since: int) -> None:
    random = np.random.default_rng(at)
    means = np.where(np.arange(60) < at, 3.2, 9.5) + random.normal(0, 0.2, 60)
    stream = [ErrorBlock(index, index + 1, 250, mean) for index, mean in enumerate(means.tolist())]
    (change,) = error_changes(stream, detector, ConceptDriftSpec(), shares=False)
    assert change.begins_us == since
    assert change.seen_us - since <= 4
    assert (change.before, change.after) == pytest.approx((3.2, 9.5), abs=0.3)


def test_learning_alone_sees_no_change_where_there_is_none() -> None:
    wrong = 0
    for seed in range(1_000):
        means = np.random.default_rng(seed).gamma(4, 0.8, 31)
        stream = [ErrorBlock(index, index + 1, 250, mean) for index, mean in enumerate(means.tolist())]
        wrong += bool(error_changes(stream, "page_hinkley", ConceptDriftSpec(), shares=False))
    assert wrong <= 10
