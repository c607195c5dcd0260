"""What a version loses by its own records of quality: its windows, and by how much it loses more than a fresh one."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gates.mixtures import mixture_width, tuned_rho
from gates.records import QualityRow
from gates.retraining.policy import RetrainingPolicy
from gates.windows import CHAMPION, PooledDifference, WindowDifference, apart, pool

_DAY_US = 86_400_000_000


class LossWindow(NamedTuple):
    """The mean loss of the champion's events in a window; times in microseconds since 1970.

    `variance`: of the mean, `independent`: the same if all events were independent; `n`: labelled events.
    """

    start_us: int
    end_us: int
    pane: int
    value: float
    variance: float
    independent: float
    n: int
    events: int
    coverage: float
    at_training: float | None


class LossWindows(NamedTuple):
    """The windows that count, in order of time, and how many do not: too few labels yet, or no value (`why`)."""

    counted: list[LossWindow]
    awaiting: int
    without: int
    why: str


def loss_windows(rows: Iterable[QualityRow], policy: RetrainingPolicy, version: str) -> LossWindows:
    """The windows of a version as champion. Windows of a run with other windows count once."""
    own = [
        each
        for each in rows
        if each.version == version and each.role == CHAMPION and each.metric == policy.metric and each.against is None
    ]
    found = dict[tuple[int, int], LossWindow]()
    awaiting, without, why = 0, 0, ""
    for row in own:
        window = _window(row)
        if window is None:
            without, why = without + 1, row.why or why
        elif window.coverage < policy.coverage:
            awaiting += 1
        else:
            found[row.window_start, row.window_end] = window
    return LossWindows(apart(found), awaiting, without, why)


def _window(row: QualityRow) -> LossWindow | None:
    if row.value is None or row.variance is None or row.n < 1 or row.window_end <= row.window_start:
        return None
    if not math.isfinite(row.value + row.variance):
        return None
    coverage = 1.0 if row.label_coverage is None else row.label_coverage
    return LossWindow(
        row.window_start, row.window_end, row.pane, row.value, row.variance / (row.n_effective or row.n),
        row.variance / row.n, row.n, row.events, coverage, row.at_training,
    )  # fmt: skip


class FreshLoss(NamedTuple):
    """The loss of a model that has not worn: `kind` says by what it is known; `variance` is 0 where it is stated."""

    value: float
    kind: str
    variance: float = 0.0


class WornBy(NamedTuple):
    """By how much a version loses more than a fresh one for each event, with the interval at all looks at once."""

    value: float
    low: float
    high: float
    now: PooledDifference
    fresh: FreshLoss
    error_rate: float


STATED, TRAINING, BEFORE = "stated", "training", "before the change"


def fresh_loss(policy: RetrainingPolicy, now: Sequence[LossWindow], before: Sequence[LossWindow]) -> FreshLoss | None:
    """What is known of a fresh model: `retraining.reference`, else the version's training, else the windows before the
    last change. Not the best windows so far: the least of many is low by chance alone."""
    if policy.reference is not None:
        return FreshLoss(policy.reference, STATED)
    stated = [each.at_training for each in reversed(now) if each.at_training is not None]
    at_training = next((each for each in stated if math.isfinite(each)), None)
    if at_training is not None:
        return FreshLoss(at_training, TRAINING)
    pooled = pool([_level(each) for each in before])
    return None if pooled is None else FreshLoss(pooled.value, BEFORE, pooled.variance)


def worn_by(policy: RetrainingPolicy, now: Sequence[LossWindow], fresh: FreshLoss, stretch: int) -> WornBy | None:
    """The loss now beyond that of a fresh model; None where nothing in the windows varies.

    Args:
        now: the windows since the last change, or all of them.
        stretch: 1 for the windows before any change, 2 after the first one, …: each has a share α/(k(k+1)) of the
            error rate, all together not more than α.
    """
    pooled = pool([_level(each) for each in now])
    if pooled is None:
        return None
    error_rate = policy.error_rate / (stretch * (stretch + 1))
    factor = mixture_width(pooled.size, error_rate, tuned_rho(2 * policy.least_n, error_rate)) * math.sqrt(pooled.size)
    width = factor * math.sqrt(pooled.variance + fresh.variance)
    value = pooled.value - fresh.value
    return WornBy(value, value - width, value + width, pooled, fresh, error_rate)


def _level(window: LossWindow) -> WindowDifference:
    """A window as a difference from zero."""
    return WindowDifference(
        window.start_us, window.end_us, window.value, window.n, window.variance, window.independent, window.n,
        window.events, window.coverage, False, CHAMPION,
    )  # fmt: skip


def events_per_day(windows: Sequence[LossWindow]) -> float:
    """How many events the version answers in a day of event time, labelled or not."""
    return sum(each.events for each in windows) * _DAY_US / sum(each.end_us - each.start_us for each in windows)
