"""How a check reports that the contract is broken. Not by `assert`, which `python -O` removes."""

import numpy as np
import numpy.typing as npt

from schemas.errors import HalflifeError


class ContractBroken(HalflifeError, AssertionError):
    """A scorer does not do what the contract says; `str()` is one line."""


def expect(holds: bool, otherwise: str) -> None:
    """Return if the condition holds.

    Raises:
        ContractBroken: with the text of `otherwise`.
    """
    if not holds:
        raise ContractBroken(otherwise)


def expect_scores(found: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64], tolerance: float, when: str) -> None:
    """Return if both have the same shape and differ nowhere by more than `tolerance` (absolute).

    Raises:
        ContractBroken: naming `when`, the first row that differs, and both of its scores.
    """
    expect(found.shape == wanted.shape, f"{when}: scores of shape {found.shape}; expected: {wanted.shape}")
    apart = np.flatnonzero(~(np.abs(found - wanted) <= tolerance))
    if len(apart):
        row = apart[0]
        said = f"{when}: row {row} scores {found[row]:.12g}"
        raise ContractBroken(f"{said}; expected: {wanted[row]:.12g} ± {tolerance:g}")
