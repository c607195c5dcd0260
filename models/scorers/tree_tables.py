"""Path-dependent TreeSHAP from tables that are made once: many rows at a time, without walking a tree.

A leaf's contributions depend on a row only by which of the features on its path the row satisfies (WOODELF: Nadel and
Wettenstein, 2025). So each leaf has a table with a row for each such pattern, and two leaves below one split share one.
A row's pattern is a sum over features: each feature has cells between whose bounds all splits of the model decide
alike, and a tree has for each cell what it adds to the patterns of all its leaves. What remains is one product of a
sparse matrix, with a one for each leaf's pattern, and the tables.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
MOST_BYTES = 96 * 1024 * 1024
"""How much memory the tables of a model may take; a deep tree of many features needs more than it is worth."""
_MOST_FEATURES = 20


class Leaf(NamedTuple):
    """What a row that ends here adds to the margin."""

    value: float


class Split(NamedTuple):
    """A node: `goes_left` by cell of its feature; `share` of the training rows here that went left."""

    feature: int
    goes_left: Bools
    share: float
    left: "Split | Leaf"
    right: "Split | Leaf"


class _Step(NamedTuple):
    """A split on the way to a leaf, and on which side the leaf is."""

    split: Split
    left: bool

    @property
    def share(self) -> float:
        return self.split.share if self.left else 1.0 - self.split.share


class _Path(NamedTuple):
    """A leaf's value and the splits above it."""

    value: float
    steps: tuple[_Step, ...]

    def features(self) -> list[int]:
        return list(dict.fromkeys(step.split.feature for step in self.steps))

    def of(self, feature: int) -> tuple[Bools, float]:
        """Which cells of a feature satisfy all its splits on the path, and the share of training rows that did."""
        own = [step for step in self.steps if step.split.feature == feature]
        satisfied = np.logical_and.reduce([step.split.goes_left == step.left for step in own])
        return satisfied, math.prod(step.share for step in own)

    def expected(self) -> float:
        """What the leaf adds on average."""
        return self.value * math.prod(step.share for step in self.steps)


@dataclass(frozen=True, slots=True)
class TreeTable:
    """Of one tree: its features, for each of them what each cell adds to the row numbers of `rows` (cells, groups),
    the contributions by row number (numbers, features), and the tree's average."""

    features: tuple[int, ...]
    numbers: tuple[npt.NDArray[np.int32], ...]
    rows: Floats
    base: float

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self.rows.nbytes + sum(each.nbytes for each in self.numbers)

    def add(self, cells: Sequence[npt.NDArray[np.int64]], into: Floats) -> None:
        """Add the contributions of n rows, whose cells are given by feature, to columns of `into` (n, features)."""
        from scipy.sparse import csr_matrix  # type: ignore[import-untyped]  # ships no types

        indexes = self.numbers[0].take(cells[self.features[0]], axis=0)
        for feature, numbers in zip(self.features[1:], self.numbers[1:], strict=True):
            indexes += numbers.take(cells[feature], axis=0)
        count, groups = indexes.shape
        ends = np.arange(0, count * groups + 1, groups, dtype=np.int32)
        ones = np.ones(count * groups)
        chosen = csr_matrix((ones, indexes.reshape(-1), ends), shape=(count, len(self.rows)), copy=False)
        into[:, self.features] += chosen @ self.rows


def table_of(tree: Split | Leaf, left_bytes: int = MOST_BYTES) -> TreeTable | None:
    """The table of one tree; None where it would take more than `left_bytes`."""
    if isinstance(tree, Leaf):
        return TreeTable((), (), np.zeros((0, 0)), tree.value)
    groups = list(_groups(tree, ()))
    features = sorted({feature for group in groups for feature in group[0].features()})
    widths = [len(group[0].features()) + len(group) - 1 for group in groups]
    if max(widths) > _MOST_FEATURES or sum(2**width for width in widths) * len(features) * 8 > left_bytes:
        return None
    cells = dict(_cells(tree))
    numbers = {feature: np.zeros((cells[feature], len(groups)), np.int32) for feature in features}
    rows, start, base = [], 0, 0.0
    for index, group in enumerate(groups):
        order = group[0].features()
        if len(group) == 2:  # the feature of their split comes last: it has a bit for each of the two
            last = group[0].steps[-1].split.feature
            order = [feature for feature in order if feature != last] + [last]
        values = _joined(group, order, numbers, index)
        numbers[features[0]][:, index] += start
        spread = np.zeros((len(values), len(features)))
        spread[:, [features.index(feature) for feature in order]] = values
        rows.append(spread)
        start += len(values)
        base += sum(path.expected() for path in group)
    return TreeTable(tuple(features), tuple(numbers[feature] for feature in features), np.concatenate(rows), base)


def _groups(node: Split, above: tuple[_Step, ...]) -> Iterator[tuple[_Path, ...]]:
    """The leaves below a split, two of one split together."""
    sides = ((node.left, (*above, _Step(node, True))), (node.right, (*above, _Step(node, False))))
    if isinstance(node.left, Leaf) and isinstance(node.right, Leaf):
        yield tuple(_Path(child.value, steps) for child, steps in sides if isinstance(child, Leaf))
        return
    for child, steps in sides:
        if isinstance(child, Leaf):
            yield (_Path(child.value, steps),)
        else:
            yield from _groups(child, steps)


def _cells(node: Split | Leaf) -> Iterator[tuple[int, int]]:
    """How many cells each feature of a tree has."""
    if isinstance(node, Split):
        yield node.feature, len(node.goes_left)
        yield from _cells(node.left)
        yield from _cells(node.right)


def _joined(
    group: tuple[_Path, ...], order: Sequence[int], numbers: dict[int, npt.NDArray[np.int32]], index: int
) -> Floats:
    """The contributions of one leaf, or of two of one split, by pattern; what each cell adds to the pattern is put into
    column `index` of `numbers`."""
    count, tables = len(order), []
    for bit, feature in enumerate(order):
        numbers[feature][:, index] += group[0].of(feature)[0].astype(np.int32) << bit
    for path in group:
        tables.append(_contributions(path.value, [path.of(feature)[1] for feature in order]))
    if len(group) == 1:
        return tables[0]
    numbers[order[-1]][:, index] += group[1].of(order[-1])[0].astype(np.int32) << count
    patterns = np.arange(2 << count)
    shared, second = patterns & ((1 << (count - 1)) - 1), patterns >> count
    both: Floats = tables[0][patterns & ((1 << count) - 1)] + tables[1][shared | second << (count - 1)]
    return both


def _contributions(value: float, shares: Sequence[float]) -> Floats:
    """What each of k features adds by a leaf, by pattern of which of them a row satisfies, shape (2**k, k).

    Shapley values of the game whose worth for a set of known features is the leaf's value times, of each known feature,
    1 or 0 as it is satisfied, and of each other the share of training rows that satisfied it.
    """
    count = len(shares)
    satisfied = (np.arange(1 << count)[:, np.newaxis] >> np.arange(count) & 1).astype(np.float64)
    weights = np.array([1 / (count * math.comb(count - 1, known)) for known in range(count)])
    found = np.empty(satisfied.shape)
    for one in range(count):
        # by_known[:, m]: the sum over all sets of m known features, without this one
        by_known = np.zeros((1 << count, count + 1))
        by_known[:, 0] = 1.0
        for other in range(count):
            if other != one:
                by_known[:, 1:] = by_known[:, 1:] * shares[other] + by_known[:, :-1] * satisfied[:, [other]]
                by_known[:, 0] *= shares[other]
        found[:, one] = value * (satisfied[:, one] - shares[one]) * (by_known[:, :count] @ weights)
    return found
