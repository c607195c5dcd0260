"""Losses of events whose labels come late, as the records of quality that a job writes of them."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.gates.worth import Events, worth_of_arm, worth_of_pairs
from schemas.records import arrow_schema

Floats = npt.NDArray[np.float64]
DAY_US = 86_400_000_000
LABELLED = (0.5, 0.75, 0.9, 1.0)
"""Which share of a window's events has a label at its end, and one, two and three windows later."""
_SHAPE = 0.8  # of the gamma distribution: most losses are small, and some are large
_MEAN = 0.45


class Losses(NamedTuple):
    """What is simulated: windows with `own` events of the version and `other` ones of the champion; the version's mean
    loss relative to the champion's; clusters: how many events each has (1: none), whether they come back in
    every window, and how much they differ (variance of a factor with mean 1). `paired`: the `own` events are scored by
    both, the version as a shadow, and differ in loss by a normal number of mean 0 and deviation 1, of whose variance
    events of a cluster share `differ`. `subjects`: whether the job knows the clusters, as its `events.subject`."""

    own: int
    other: int
    windows: int
    worse: float = 0.0
    cluster: int = 1
    recurring: bool = False
    differ: float = 0.0
    paired: bool = False
    subjects: bool = True


class DrawnArm(NamedTuple):
    """Losses of an arm by window and event, in the order in which their labels come; what the events of each window are
    worth, as a job measures it."""

    values: npt.NDArray[np.float64]
    n_effective: npt.NDArray[np.float64]


def draw(losses: Losses, generator: np.random.Generator) -> tuple[DrawnArm, DrawnArm]:
    """The losses of the version and of the champion; of pairs their differences, and nothing."""
    if losses.paired:
        drawn = _paired(losses, generator)
        return drawn, DrawnArm(np.zeros_like(drawn.values), drawn.n_effective)
    return (
        _arm(losses, losses.own, _MEAN * (1 + losses.worse), generator),
        _arm(losses, losses.other, _MEAN, generator),
    )


def _arm(losses: Losses, n: int, mean: float, generator: np.random.Generator) -> DrawnArm:
    values = generator.gamma(_SHAPE, mean / _SHAPE, (losses.windows, n))
    if losses.cluster == 1:
        return DrawnArm(values, np.full(losses.windows, float(n)))
    shape = 1 / losses.differ
    values *= _shared(losses, n, lambda size: generator.gamma(shape, 1 / shape, size))
    return _shuffled(values, losses, worth_of_arm, generator)


def _paired(losses: Losses, generator: np.random.Generator) -> DrawnArm:
    own = generator.normal(size=(losses.windows, losses.own)) * np.sqrt(1 - losses.differ)
    shared = _shared(losses, losses.own, lambda size: generator.normal(size=size))
    return _shuffled(own + np.sqrt(losses.differ) * shared, losses, worth_of_pairs, generator)


def _shared(losses: Losses, n: int, drawn: Callable[[tuple[int, int]], Floats]) -> Floats:
    """What the events of each cluster share, by window and event."""
    clusters = n // losses.cluster
    of_cluster = drawn((1 if losses.recurring else losses.windows, clusters))
    return np.repeat(np.broadcast_to(of_cluster, (losses.windows, clusters)), losses.cluster, axis=1)


def _shuffled(
    values: Floats, losses: Losses, worth: Callable[[Events], Floats], generator: np.random.Generator
) -> DrawnArm:
    """The events in any order of time, with what they are worth: their clusters are subjects of the job."""
    windows, n = values.shape
    order = generator.permuted(np.broadcast_to(np.arange(n), values.shape), axis=1)
    again = 0 if losses.recurring else np.arange(windows)[:, None] * n
    shuffled = np.take_along_axis(values, order, axis=1)
    subjects = order // losses.cluster + again if losses.subjects else None
    return DrawnArm(shuffled, np.minimum(worth(Events(shuffled, subjects, DAY_US)), n))


class _Panes:
    """The numbers of an arm's windows by how many labels are known."""

    def __init__(self, arm: DrawnArm) -> None:
        self._n = arm.values.shape[1]
        self._sums, self._squares = np.cumsum(arm.values, axis=1), np.cumsum(arm.values**2, axis=1)
        self._worth = arm.n_effective / self._n

    def of(self, window: int, delay: int) -> dict[str, object]:
        known = round(LABELLED[delay] * self._n)
        mean = self._sums[window, known - 1] / known
        variance = (self._squares[window, known - 1] / known - mean**2) * known / (known - 1)
        return {
            **{"value": float(mean), "variance": float(variance), "n": known, "events": self._n},
            **{"label_coverage": known / self._n, "n_effective": float(self._worth[window] * known), "pane": delay},
        }


def written(own: DrawnArm, other: DrawnArm, first_us: int, paired: bool = False) -> Iterator[pa.RecordBatch]:
    """After each window the records that are new: a pane of it, and one more of each whose labels still come."""
    schema = arrow_schema("Quality")
    of_pair = {"version": "v2", "role": "shadow", "metric": "loss_difference", "against": "v1"}
    of_arms = ({"version": "v2", "role": "challenger"}, {"version": "v1", "role": "champion"})
    both = zip(of_arms, (_Panes(own), _Panes(other)), strict=True)
    compared = [(of_pair, _Panes(own))] if paired else [({**said, "metric": "error"}, panes) for said, panes in both]
    for now in range(len(own.values)):
        rows = [
            {
                **{"window_start": first_us + window * DAY_US, "window_end": first_us + (window + 1) * DAY_US},
                **{"model": "simulated", "segment": "", **said},
                **panes.of(window, now - window),
            }
            for window in range(max(0, now + 1 - len(LABELLED)), now + 1)
            for said, panes in compared
        ]
        columns = [pa.array([each.get(field.name) for each in rows], field.type) for field in schema]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)
