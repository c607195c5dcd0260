"""Windows of quality as differences between two versions, and what all of them say together."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from gates.records import QualityRow

W = TypeVar("W")
CHAMPION, CHALLENGER, SHADOW = "champion", "challenger", "shadow"
ERROR, LOSS_DIFFERENCE = "error", "loss_difference"
OF_PAIRS = frozenset({"difference", "flips_to_positive", "flips_to_negative", "latency_difference"})
"""Metrics that only a pair of versions on the same events has."""
UNLABELLED = OF_PAIRS | {"selection_rate"}
"""Metrics that need no labels, so that all windows count."""
_FEWEST_TO_COMPARE = 8  # windows, from which on their differences among each other say something


class WindowDifference(NamedTuple):
    """How much worse the version was than the champion in a window.

    `value`: the mean difference, more than 0 is worse; `weight`: events of a paired comparison that are worth as much;
    `variance`: of the value, `independent`: the same if all events were independent; `n`: labelled events of the
    version, or pairs; `events`: those that it scored; `arms`: whether other events are compared than its own; `role`:
    of the version in it; `run`: that measured it.
    """

    start_us: int
    end_us: int
    value: float
    weight: float
    variance: float
    independent: float
    n: int
    events: int
    coverage: float
    arms: bool
    role: str
    run: str | None = None


class PooledDifference(NamedTuple):
    """What windows say together: the mean difference `value`, the variance of this mean, and how many independent
    events of which variance (`spread`) would say as much (`size`); `n`: labelled events of the version, `worth`: how
    many independent ones these are worth."""

    value: float
    variance: float
    size: float
    n: int
    worth: float
    windows: int
    first_us: int
    last_us: int

    @property
    def spread(self) -> float:
        """The variance of one of these events."""
        return self.variance * self.size


def window_differences(
    rows: Iterable[QualityRow],
    metric: str,
    sign: int,
    version: str,
    champion: str,
    role: str = "",
    since_us: int = 0,
) -> list[WindowDifference]:
    """The windows in which both versions were measured, in order of time. Those of pairs take precedence.

    Args:
        rows: of one model.
        metric: a metric of the record's that is a mean; `error` is `loss_difference` where there are pairs.
        sign: 1 where lower values are better, -1 where higher ones are.
        version: that is compared.
        champion: with which.
        role: in windows that begin at `since_us` or later, records of the version in this role take precedence over
            all others: those of another role are of a run that did not know the release yet.
        since_us: microseconds since 1970.
    """
    measured = [row for row in rows if row.metric in named_as(metric)]
    answers = dict[tuple[int, int], QualityRow]()
    for row in measured:
        if row.metric == metric and row.against is None and (row.version, row.role) == (champion, CHAMPION):
            answers[row.window_start, row.window_end] = row
    found = dict[tuple[int, int], WindowDifference]()
    for row in measured:
        window = row.window_start, row.window_end
        difference = _difference(row, answers.get(window), metric, sign, (version, champion))
        if difference is None:
            continue
        known = found.get(window)
        if known is None or _turn(difference, role, since_us) >= _turn(known, role, since_us):
            found[window] = difference
    return apart(found)


def named_as(metric: str) -> tuple[str, ...]:
    """The metrics of records that say something of this one."""
    return (ERROR, LOSS_DIFFERENCE) if metric == ERROR else (metric,)


def _difference(
    row: QualityRow, answer: QualityRow | None, metric: str, sign: int, versions: tuple[str, str]
) -> WindowDifference | None:
    """What a record says: one of the pair by itself, one of the version together with the champion's."""
    version, champion = versions
    if row.version != version or row.role == CHAMPION:
        return None
    if row.against == champion and row.metric == named_as(metric)[-1]:
        return _of_pairs(row, sign)
    if row.against is None and row.metric == metric and answer is not None:
        return _of_arms(row, answer, sign)
    return None


def _turn(each: WindowDifference, role: str, since_us: int) -> tuple[bool, bool, int]:
    """Of several differences of a window the greatest counts."""
    return each.role == role and each.start_us >= since_us, not each.arms, each.n


def apart(found: Mapping[tuple[int, int], W]) -> list[W]:
    """In order of time and without those that overlap a longer or earlier one: events of a run with other windows
    count once. By the start and end of each."""
    kept, ended = list[W](), -math.inf
    for start, end in sorted(found, key=lambda window: (window[0], -window[1])):
        if start >= ended:
            kept.append(found[start, end])
            ended = end
    return kept


def _of_pairs(row: QualityRow, sign: int) -> WindowDifference | None:
    value, variance = row.value, row.variance
    if row.metric in ("flips_to_positive", "flips_to_negative") and value is not None and variance is None:
        variance = value * (1 - value)
    if value is None or variance is None or row.n < 1 or not math.isfinite(value + variance):
        return None
    mean_variance = variance / (row.n_effective or row.n)
    return WindowDifference(
        row.window_start, row.window_end, sign * value, row.n, mean_variance, variance / row.n, row.n, row.events,
        _coverage(row), False, row.role, row.run,
    )  # fmt: skip


def _of_arms(own: QualityRow, other: QualityRow, sign: int) -> WindowDifference | None:
    """The difference of two means of different events."""
    if own.value is None or other.value is None or own.n < 1 or other.n < 1:
        return None
    spread, other_spread = _spread(own), _spread(other)
    if spread is None or other_spread is None or not math.isfinite(own.value + other.value + spread + other_spread):
        return None
    variance = spread / (own.n_effective or own.n) + other_spread / (other.n_effective or other.n)
    independent = spread / own.n + other_spread / other.n
    return WindowDifference(
        own.window_start, own.window_end, sign * (own.value - other.value), own.n * other.n / (own.n + other.n),
        variance, independent, own.n, own.events, min(_coverage(own), _coverage(other)), True, own.role, own.run,
    )  # fmt: skip


def _spread(row: QualityRow) -> float | None:
    """The variance of one event's contribution: of shares it follows from the value."""
    if row.variance is None and row.metric in ("accuracy", "selection_rate") and row.value is not None:
        return row.value * (1 - row.value)
    return row.variance


def _coverage(row: QualityRow) -> float:
    return 1.0 if row.label_coverage is None or row.metric in UNLABELLED else row.label_coverage


def pool(windows: Sequence[WindowDifference], recurring: bool = False) -> PooledDifference | None:
    """What windows say together; None where they say nothing: there is none, or nothing in them varies.

    Windows are compared one by one and then averaged, by their weights: so a version that answered more in bad weeks is
    not held to be bad. The variance of the mean is the greater of what the windows state and of what their differences
    among each other show, which sees what the events of a window share. `recurring`: the same clusters of events come
    back in every window, so that what dependence costs within each adds up. An event of a cluster of m depends on m − 1
    others in its own window, and on m in each other one: at most twice as many, where there is any.
    """
    whole = math.fsum(each.weight for each in windows)
    if not windows or whole <= 0:
        return None
    value = math.fsum(each.weight * each.value for each in windows) / whole
    parts = [(each.weight / whole) ** 2 for each in windows]
    independent = math.fsum(part * each.independent for part, each in zip(parts, windows, strict=True))
    stated = math.fsum(part * each.variance for part, each in zip(parts, windows, strict=True))
    if recurring:
        excess = [_excess(each) for each in windows]
        stated = independent * (1 + 2 * math.fsum(excess) - max(excess))
    shown = 0.0
    if len(windows) >= _FEWEST_TO_COMPARE:
        squares = (part * (each.value - value) ** 2 for part, each in zip(parts, windows, strict=True))
        shown = math.fsum(squares) * len(windows) / (len(windows) - 1)
    variance = max(stated, shown)
    if not (independent > 0 and variance > 0):
        return None
    n, first, last = sum(each.n for each in windows), windows[0].start_us, windows[-1].end_us
    share = independent / variance
    return PooledDifference(value, variance, whole * share, n, n * min(share, 1.0), len(windows), first, last)


def _excess(window: WindowDifference) -> float:
    """By how much dependence multiplies the variance of a window's value, beyond 1."""
    return max(window.variance / window.independent - 1, 0.0) if window.independent > 0 else 0.0
