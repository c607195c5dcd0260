"""Rows are grouped by compiled code as they are by Arrow and NumPy, to the bit."""

from types import ModuleType

import numpy as np
import pyarrow as pa
import pytest

from schemas.native import compiled
from schemas.native.grouping import Floats, codes_of, order_of, sums_of_limbs
from tests.schemas.native.built import each, used
from transforms.quality.sums.exact_sums import GroupTerms, limbs_of

__all__ = ["each", "used"]
NONE = pa.array([], pa.string())


def texts(seed: int, rows: int, different: int) -> pa.Array:
    """Texts of 0 to 30 letters, some of which differ only in their last one, in a slice of more."""
    random = np.random.default_rng(seed)
    made = ["ä" * (each % 7) + str(each) * (each % 5) for each in random.integers(0, different, rows + 7).tolist()]
    return pa.array(made, pa.string()).slice(7)


@pytest.mark.parametrize(
    "columns",
    [
        [],
        [NONE],
        [NONE, pa.array(["a", "", "a"]), NONE],
        [texts(1, 20_000, 9_000), texts(2, 300, 40), texts(1, 20_000, 9_000)],
        [pa.array([f"event {row}" for row in range(9_000)])] * 2,
    ],
)
def test_texts_have_the_codes_of_a_dictionary(used: pytest.MonkeyPatch, columns: list[pa.Array]) -> None:
    found = codes_of(columns)
    used.setattr(compiled, "EACH", None)
    assert [each.tolist() for each in found] == [each.tolist() for each in codes_of(columns)]


def terms(kind: str) -> Floats:
    random = np.random.default_rng(4)
    made = random.normal(size=(3, 5_000)) * 10.0 ** random.integers(-9, 9, 5_000)
    return {
        "many": made,
        "none": made[:, :0],
        "zeros": made * 0.0,
        "great": made * 1e60,
        "small": np.ldexp(made, -1030),
        "far apart": np.where(made > 0, made * 1e70, np.ldexp(made, -1000)),
        "whole": np.trunc(made),
    }[kind]


@pytest.mark.parametrize("kind", ["many", "none", "zeros", "great", "small", "far apart", "whole"])
def test_exact_sums_have_the_same_digits(used: pytest.MonkeyPatch, kind: str) -> None:
    own = terms(kind)
    group = np.random.default_rng(5).permutation(np.arange(own.shape[1]) % 70)
    found, as_floats = GroupTerms(list(own)).sums(group, 70), limbs_of(own).sums(group, 70)
    assert found.low == as_floats.low
    assert np.array_equal(found.digits, as_floats.digits)
    used.setattr(compiled, "EACH", None)
    assert np.array_equal(GroupTerms(list(own)).sums(group, 70).digits, found.digits)


def test_sums_that_floats_would_round_and_terms_without_a_value_are_left_to_numpy(each: ModuleType) -> None:
    group = np.zeros(5_000, np.int64)
    assert sums_of_limbs(terms("far apart"), group, 1) is None
    assert each.sum_each(np.array([[np.inf, 1.0]]), group[:2], 1) is None


@pytest.mark.parametrize("numbers", [[], [5], [3, 3, 3], [2**63 - 1, -(2**63), 0, -1, 1]])
def test_order_is_that_of_a_stable_sort(used: pytest.MonkeyPatch, numbers: list[int]) -> None:
    repeated = np.random.default_rng(6).integers(-9, 9, 3_000)
    for some in (np.array(numbers, np.int64), repeated, repeated[::3] << 40, terms("many").view(np.int64)[0]):
        assert np.array_equal(order_of(some), np.argsort(some, kind="stable"))


def test_what_does_not_fit_is_refused(each: ModuleType) -> None:
    with pytest.raises(ValueError, match="expected: one of the groups for each term"):
        each.sum_each(np.ones((1, 2)), np.array([0, 1]), 1)
    with pytest.raises(ValueError, match="expected: ascending ones"):
        each.code_each(((b"abc", np.array([0, 4], np.int32)),))


def test_a_module_that_was_built_before_does_not_stand_in_the_way(used: pytest.MonkeyPatch) -> None:
    used.setattr(compiled, "EACH", ModuleType("built before"))
    assert order_of(np.array([2, 1])).tolist() == [1, 0]
