"""Whole numbers that occur, found without sorting where their range is small."""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
_LEAST = 4_096
_PER_ROW = 4


def distinct(numbers: Ints) -> tuple[Ints, Ints]:
    """The numbers that occur, ascending, and of each of `numbers` the index among them; as `np.unique`.

    >>> [each.tolist() for each in distinct(np.array([7, 5, 7]))]
    [[5, 7], [1, 0, 1]]
    """
    if not len(numbers):
        return numbers, numbers
    low, high = int(numbers.min()), int(numbers.max())
    if high - low >= max(_PER_ROW * len(numbers), _LEAST):
        found, index = np.unique(numbers, return_inverse=True)
        return found, index
    above = numbers - low
    present = np.zeros(high - low + 1, np.bool_)
    present[above] = True
    return np.flatnonzero(present) + low, (np.cumsum(present) - 1)[above]
