"""What each input of a model added to a score, as a scorer says it of itself."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Scale: TypeAlias = Literal["score", "log_odds", "log", "margin", "same_class"]
"""What a model adds its contributions up to: the score itself, its log-odds or logarithm, the library's own number for
the class that answered, or the share of other rows that get the same class."""


@dataclass(frozen=True, slots=True)
class Contributions:
    """Of n rows: `base + values.sum(axis=1)` is the `margins`, all on this `scale`.

    `values`: float64 of shape (n, inputs), in the order of the manifest's inputs; `base`, `margins`: of shape (n,), the
    margins computed apart from the contributions. `separate`: each contribution depends on its own input alone and is
    measured against 0, so that it may be measured against an average instead.
    """

    base: Floats
    values: Floats
    margins: Floats
    scale: Scale
    separate: bool = False

    def off(self) -> Floats:
        """How far the contributions of each row are from adding up, as a share of their size; shape (n,)."""
        size = np.maximum(1.0, np.abs(self.values).sum(axis=1) + np.abs(self.base))
        found: Floats = np.abs(self.base + self.values.sum(axis=1) - self.margins) / size
        return np.where(np.isfinite(found), found, np.inf)

    def times(self, factor: float | Floats) -> "Contributions":
        """All numbers multiplied, for each row by its own factor where several are given."""
        factors = np.broadcast_to(np.asarray(factor, np.float64), self.base.shape)
        values = self.values * factors[:, np.newaxis]
        return replace(self, base=self.base * factors, values=values, margins=self.margins * factors)


LINKS: Mapping[Scale, str] = {
    "score": "the score",
    "log_odds": "log-odds of the score",
    "log": "logarithm of the score",
    "margin": "the model's own margin of the class",
    "same_class": "share of the background that gets the same class",
}
"""The scales in words."""


def margins_of(scores: Floats, scale: Scale) -> Floats | None:
    """The margins of scores on a scale; None where a score alone does not say it.

    >>> margins_of(np.array([0.5, 0.75]), "log_odds").round(4).tolist()
    [0.0, 1.0986]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        if scale == "log_odds":
            return np.asarray(np.log(scores) - np.log1p(-scores))
        if scale == "log":
            return np.asarray(np.log(scores))
    return scores if scale == "score" else None
