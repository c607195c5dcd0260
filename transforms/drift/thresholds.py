"""When a drift statistic counts as drifted: its threshold, which the job states, and its noise floor."""

import numpy as np
import numpy.typing as npt

from schemas.job import DriftSpec
from transforms.drift.drift_statistics import Statistic


def threshold_of(spec: DriftSpec, statistic: str) -> float:
    """The job's threshold of a statistic that it measures, as `drift.psi`.

    >>> spec = DriftSpec(86_400_000_000, 0, (), psi_threshold=0.2, ks_threshold=0.1)
    >>> threshold_of(spec, "psi"), threshold_of(spec, "ks")
    (0.2, 0.1)
    """
    return spec.limits[statistic]


def drifted(found: Statistic, threshold: float) -> npt.NDArray[np.bool_]:
    """Whether each value, of shape (groups, columns), is above the threshold and above its noise floor.

    A small sample differs from its own distribution, so a value below the noise floor means nothing:

    >>> rows = np.array([[100, 100]])
    >>> found = Statistic(np.array([[0.3, 0.3]]), np.array([[0.1, 0.4]]), n=rows, reference_n=rows)
    >>> drifted(found, threshold=0.2).tolist()
    [[True, False]]
    """
    return found.value > np.maximum(threshold, found.noise_floor)
