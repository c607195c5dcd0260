"""The drift of a model's score is judged by windows of the training data: at most one of a hundred is a false alarm."""

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.drift.scores import judged
from models.profiles import Profile, build_profile, parse_profile, serialise_profile, with_training_windows
from models.profiles.columns import Floats
from models.profiles.usual import Tail

HOUR = 3_600_000_000


@pytest.mark.parametrize("level", ["independent normal", "autoregression of 0.5", "all days alike"])
def test_days_that_differ_as_those_of_the_training_raise_no_alarm(level: str) -> None:
    assert judged(level, days=48, runs=20, rows=64).drifted <= 0.01


@pytest.mark.parametrize("level", ["skewed (exponential)", "skewed, falling"])
def test_days_whose_levels_are_skewed_raise_no_more_alarms_than_others(level: str) -> None:
    assert judged(level, days=100, runs=40, rows=16 if "falling" in level else 32).drifted <= 0.008


def profile_of_levels(levels: Floats) -> Profile:
    rng, days = np.random.default_rng(3), len(levels)
    times = pa.array(np.arange(days * 50) * 24 * HOUR // 50, pa.timestamp("us", "UTC"))
    table = pa.table({"event_time": times, "score": np.repeat(levels, 50) + rng.normal(size=days * 50)})
    return with_training_windows(build_profile(table, ["score"]), table)


def test_a_tail_has_two_sides_only_where_these_differ_and_is_read_back_as_it_was() -> None:
    rng = np.random.default_rng(4)
    even, skewed = (profile_of_levels(levels) for levels in (rng.normal(size=80), rng.exponential(size=80)))
    alike, apart = (next(each.tails[0] for each in one.windows if each.length == "1d") for one in (even, skewed))
    assert alike.other is None
    assert apart.other is not None
    assert apart.excess / apart.beyond > 3 * apart.other.excess / apart.other.beyond
    assert parse_profile(serialise_profile(skewed)) == skewed


def test_a_day_on_which_the_answers_move_far_beyond_those_of_the_training_is_found() -> None:
    assert judged("independent normal", days=48, runs=3, rows=64, moved=6.0).drifted >= 0.7


def test_few_windows_do_not_judge_alone() -> None:
    rng = np.random.default_rng(2)
    times = pa.array(np.arange(19 * 50) * 24 * HOUR // 50, pa.timestamp("us", "UTC"))
    table = pa.table({"event_time": times, "score": rng.normal(size=19 * 50)})
    known = {each.length: each for each in with_training_windows(build_profile(table, ["score"]), table).windows}
    assert (known["1d"].windows, known["1d"].tails) == (19, ())
    assert len(known["1h"].tails) == 1


def test_a_tail_of_few_windows_is_longer_than_the_same_tail_of_many() -> None:
    far = np.array([4.0])
    few, many = (Tail(1.0, float(beyond), beyond, 4 * beyond).p_values(far)[0] for beyond in (6, 600))
    assert few > 1.9 * many
    assert 2 * many == pytest.approx(2 * 0.25 * np.exp(-3), rel=0.1)
