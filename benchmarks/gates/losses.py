"""Losses of events whose labels come late, as the records of quality that a job writes of them."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.records import arrow_schema

DAY_US = 86_400_000_000
LABELLED = (0.5, 0.75, 0.9, 1.0)
"""Which share of a window's events has a label at its end, and one, two and three windows later."""
_SHAPE = 0.8  # of the gamma distribution: most losses are small, and some are large
_MEAN = 0.45


class Losses(NamedTuple):
    """What is simulated: windows with `own` events of the version and `other` ones of the champion; the version's mean
    loss relative to the champion's; clusters: how many events each has (1: none), whether they come back in
    every window, and how much they differ (variance of a factor with mean 1)."""

    own: int
    other: int
    windows: int
    worse: float = 0.0
    cluster: int = 1
    recurring: bool = False
    differ: float = 0.0


class DrawnArm(NamedTuple):
    """Losses of an arm by window and event, in the order in which their labels come; what the events of each window are
    worth (by the sums of its clusters)."""

    values: npt.NDArray[np.float64]
    n_effective: npt.NDArray[np.float64]


def draw(losses: Losses, generator: np.random.Generator) -> tuple[DrawnArm, DrawnArm]:
    """The losses of the version and of the champion."""
    return (
        _arm(losses, losses.own, _MEAN * (1 + losses.worse), generator),
        _arm(losses, losses.other, _MEAN, generator),
    )


def _arm(losses: Losses, n: int, mean: float, generator: np.random.Generator) -> DrawnArm:
    values = generator.gamma(_SHAPE, mean / _SHAPE, (losses.windows, n))
    if losses.cluster == 1:
        return DrawnArm(values, np.full(losses.windows, float(n)))
    clusters, shape = n // losses.cluster, 1 / losses.differ
    drawn = generator.gamma(shape, 1 / shape, (1 if losses.recurring else losses.windows, clusters))
    values *= np.repeat(np.broadcast_to(drawn, (losses.windows, clusters)), losses.cluster, axis=1)
    sums = values.reshape(losses.windows, clusters, losses.cluster).sum(axis=2)
    of_mean = clusters * sums.var(axis=1, ddof=1) / n**2
    shuffled = generator.permuted(values, axis=1)
    return DrawnArm(shuffled, np.minimum(values.var(axis=1, ddof=1) / of_mean, n))


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


def written(own: DrawnArm, other: DrawnArm, first_us: int) -> Iterator[pa.RecordBatch]:
    """After each window the records that are new: a pane of it, and one more of each whose labels still come."""
    schema = arrow_schema("Quality")
    arms = (("v2", "challenger", _Panes(own)), ("v1", "champion", _Panes(other)))
    for now in range(len(own.values)):
        rows = [
            {
                **{"window_start": first_us + window * DAY_US, "window_end": first_us + (window + 1) * DAY_US},
                **{"model": "simulated", "version": version, "role": role, "segment": "", "metric": "error"},
                **panes.of(window, now - window),
            }
            for window in range(max(0, now + 1 - len(LABELLED)), now + 1)
            for version, role, panes in arms
        ]
        columns = [pa.array([each.get(field.name) for each in rows], field.type) for field in schema]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)
