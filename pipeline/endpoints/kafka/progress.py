"""How far a topic has been read, and how far its event time has advanced: the content of a checkpoint."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, TypeAlias

from apache_beam.io.iobase import RestrictionProgress, RestrictionTracker, WatermarkEstimator
from apache_beam.transforms.core import WatermarkEstimatorProvider
from apache_beam.utils.timestamp import Timestamp

Offsets = Mapping[int, int]
EstimatorState: TypeAlias = tuple[int | None, dict[int, int]] | tuple[int | None, dict[int, int], int]


class TopicStretch(NamedTuple):
    """The offset from which each partition is to be read, and the one before which it ends (None: never)."""

    start: dict[int, int]
    until: dict[int, int] | None


class TopicTracker(RestrictionTracker):
    """Claims the offsets that follow a whole poll, for all partitions at once.

    It splits at fraction 0 only: records that a poll has fetched cannot be passed to another reader.
    """

    def __init__(self, stretch: TopicStretch) -> None:
        self._stretch = stretch
        self._claimed: dict[int, int] | None = None
        self._split = False

    def current_restriction(self) -> TopicStretch:
        """The offsets for this reader: after a split only those that it has claimed."""
        return self._stretch

    def current_progress(self) -> RestrictionProgress:
        """Valid also before the first claim, when runners already ask."""
        if self._split:
            return RestrictionProgress(fraction=1.0)
        done = 0 if self._claimed is None else sum(self._claimed.values()) - sum(self._stretch.start.values())
        if self._stretch.until is None:
            return RestrictionProgress(completed=done, remaining=1)
        whole = sum(self._stretch.until.values()) - sum(self._stretch.start.values())
        return RestrictionProgress(completed=done, remaining=max(whole - done, 0))

    def try_claim(self, position: Offsets) -> bool:
        """Whether records before `position` may be emitted; False once the rest was split off."""
        if self._split:
            return False
        before = self._stretch.start if self._claimed is None else self._claimed
        behind = [partition for partition in before if position.get(partition, -1) < before[partition]]
        if behind:
            raise ValueError(f"partitions {behind} claimed at {dict(position)}, behind {before}")
        self._claimed = dict(position)
        return True

    def try_split(self, fraction_of_remainder: float) -> tuple[TopicStretch, TopicStretch] | None:
        """The claimed offsets, and the rest; None for every fraction other than 0."""
        if self._split or fraction_of_remainder != 0:
            return None
        reached = dict(self._stretch.start if self._claimed is None else self._claimed)
        rest = TopicStretch(reached, self._stretch.until)
        self._stretch = TopicStretch(self._stretch.start, reached)
        self._split = True
        return self._stretch, rest

    def check_done(self) -> None:
        """Raises `ValueError` when offsets remain that were neither claimed nor split off."""
        if self._split:
            return
        reached = self._stretch.start if self._claimed is None else self._claimed
        until = self._stretch.until
        if until is None or any(reached.get(partition, -1) < end for partition, end in until.items()):
            raise ValueError(f"read until {reached}, but {until or 'for ever'} was asked for")

    def is_bounded(self) -> bool:
        """Whether there is an end."""
        return self._stretch.until is not None


class TopicWatermark(WatermarkEstimator):
    """The least over the partitions of (greatest event time − bound on disorder), without idle partitions.

    Where all are idle it is the greatest event time, so that waiting events are released. Never decreases. Where a
    silence has an end (`Silence`), the state also holds when something came last, by the clock.
    """

    def __init__(self, state: EstimatorState | None) -> None:
        self._watermark_us, self._greatest, *heard = state or (None, {})
        self._heard_us: int | None = heard[0] if heard else None

    def observe(self, greatest_us: Mapping[int, int]) -> None:
        """Greatest event times of records just read, by partition, in microseconds."""
        for partition, time_us in greatest_us.items():
            self._greatest[partition] = max(time_us, self._greatest.get(partition, time_us))

    def advance(self, partitions: Collection[int], idle: Collection[int], disorder_us: int) -> None:
        """Advances as far as the partitions that are not idle allow; one without any record so far holds it back."""
        active = [partition for partition in partitions if partition not in idle]
        if any(partition not in self._greatest for partition in active) or not self._greatest:
            return
        slowest = min((self._greatest[partition] for partition in active), default=None)
        reached = max(self._greatest.values()) if slowest is None else slowest - disorder_us
        self._watermark_us = reached if self._watermark_us is None else max(reached, self._watermark_us)

    def heard(self, at_us: int) -> None:
        """Something came, or is waited for from now on."""
        self._heard_us = at_us

    def silent_us(self, at_us: int) -> int:
        """For how long nothing has come; it is waited for from the first call on."""
        if self._heard_us is None:
            self._heard_us = at_us
        return max(at_us - self._heard_us, 0)

    def go_on(self, by_us: int) -> None:
        """Advances to as long after the greatest event time; where no record ever came, after the time since which one
        is waited for."""
        last_us = max(self._greatest.values(), default=self._heard_us)
        if last_us is not None:
            self._watermark_us = max(last_us + by_us, last_us if self._watermark_us is None else self._watermark_us)

    def observe_timestamp(self, timestamp: Timestamp) -> None:
        """Does nothing: emitted blocks carry only the time of their earliest event."""

    def current_watermark(self) -> Timestamp | None:  # type: ignore[override]  # Beam's own return None too
        """None until every partition has had a record or is idle."""
        return None if self._watermark_us is None else Timestamp(micros=self._watermark_us)

    def get_estimator_state(self) -> EstimatorState:
        """The state for a checkpoint."""
        reached = (self._watermark_us, dict(self._greatest))
        return reached if self._heard_us is None else (*reached, self._heard_us)


class TopicWatermarks(WatermarkEstimatorProvider):
    """Makes estimators for Beam."""

    def initial_estimator_state(self, element: Any, restriction: TopicStretch) -> None:
        """The state before any record."""

    def create_watermark_estimator(self, estimator_state: Any) -> TopicWatermark:
        """An estimator from a checkpoint's state."""
        return TopicWatermark(estimator_state)
