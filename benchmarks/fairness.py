"""`make bench-fairness`: how often intervals of fairness hold the true value, simulated; writes benchmarks/FAIRNESS.md.

python -m benchmarks.fairness --runs 2000
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.arguments import positive_whole
from benchmarks.workload import ROOT
from transforms.quality.measuring.disparities import Rates, difference_of
from transforms.quality.measuring.fair_measures import COMPARISONS, FairRates, disparity_of, fair_rates
from transforms.quality.sums.exact_sums import ExactSums
from transforms.quality.sums.fair_sums import COUNTS, FairSums
from transforms.quality.sums.group_sums import BINS, SPANS

PAGE = ROOT / "benchmarks" / "FAIRNESS.md"
Numbers = npt.NDArray[np.float64]
DIFFERENCES = tuple(name for name in COMPARISONS if name.endswith("difference"))


class World(NamedTuple):
    """Groups with true rates, of decisions and of those among positive and other events alike, and numbers of events,
    half of them positive. `spread`: the standard deviation by which a rate differs between parts of the window."""

    title: str
    rates: tuple[float, ...]
    events: tuple[int, ...]
    spread: float = 0.0


WORLDS = (
    World("2 equal", (0.5, 0.5), (200, 200)),
    World("2 apart", (0.3, 0.5), (200, 200)),
    World("2 rare, of unequal size", (0.05, 0.1), (120, 1_000)),
    World("2 rare and small", (0.02, 0.02), (80, 80)),
    World("2 near 1", (0.95, 0.99), (80, 400)),
    World("5 equal", (0.3,) * 5, (400,) * 5),
    World("5, one apart", (0.3, 0.3, 0.3, 0.3, 0.5), (400,) * 5),
    World("20 equal", (0.1,) * 20, (200,) * 20),
    World("20 graded", tuple(np.linspace(0.2, 0.6, 20).tolist()), (300,) * 20),
    World("2 equal, dependent", (0.5, 0.5), (2_400, 2_400), 0.1),
    World("5 equal, dependent", (0.3,) * 5, (2_400,) * 5, 0.1),
)


class Coverage(NamedTuple):
    """Of each metric the share of runs whose interval held the true value; of the dependent ones also of demographic
    parity where each event counts as an independent one; and how wide that metric's interval was in the mean."""

    held: Mapping[str, float]
    counted: float
    width: float


def sums_of_world(world: World, rng: np.random.Generator) -> FairSums:
    """One window of invented decisions and labels."""
    groups = len(world.rates)
    rates = np.array(world.rates)[:, None]
    varied = [np.clip(rates + world.spread * rng.standard_normal((groups, SPANS)), 0, 1) for _ in range(2)]
    events = np.stack([rng.multinomial(n, np.full(SPANS, 1 / SPANS)) for n in world.events])
    positive = events // 2
    right, wrong = (rng.binomial(n, p) for n, p in zip((positive, events - positive), varied, strict=True))
    none = np.zeros_like(events)
    in_cell = np.stack([events, right + wrong, events, none, positive, right, wrong], axis=2).reshape(-1, COUNTS)
    in_bins, squares = (ExactSums(0, np.zeros((0, 1, size), np.int64)) for size in (groups * BINS, groups))
    named = tuple((0, "sex", f"sex={number:03}") for number in range(groups))
    in_bin = np.zeros((groups, BINS, 2), np.int64)
    return FairSums(named, np.arange(groups * SPANS), in_cell, in_bin, in_bins, squares, 1_000)


def truths_of_world(world: World) -> dict[str, float]:
    """The true value of each disparity."""
    least, greatest = min(world.rates), max(world.rates)
    return {name: greatest - least if name in DIFFERENCES else least / greatest for name in COMPARISONS}


def coverage(world: World, runs: int, seed: int) -> Coverage:
    """How often the intervals of so many windows held."""
    rng, truths, groups = np.random.default_rng(seed), truths_of_world(world), np.arange(len(world.rates))
    held, counted, width = dict.fromkeys(COMPARISONS, 0), 0, 0.0
    for _ in range(runs):
        rates: FairRates = fair_rates(sums_of_world(world, rng))
        for name, truth in truths.items():
            found = disparity_of(name, rates, groups, 1).disparity
            held[name] += bool(found.low <= truth <= found.high) or bool(np.isnan(found.value))
        found = disparity_of(DIFFERENCES[0], rates, groups, 1).disparity
        width += found.high - found.low
        selected = rates.measures["selection_rate"]
        plain = difference_of(Rates(selected.value, selected.n))
        counted += plain.low <= truths[DIFFERENCES[0]] <= plain.high
    return Coverage({name: number / runs for name, number in held.items()}, counted / runs, width / runs)


_TEXT = """\
# Intervals of fairness, simulated

`make bench-fairness` makes windows of invented decisions, half of whose events are positive, and counts how many of the
intervals of 95 % of each disparity hold its true value: {runs:,} windows for each line, with fixed seeds. In the worlds
that are dependent, the rate of each group differs between the 24 parts of the window by a standard deviation of 0.1.

{table}

{metrics}. "If each event counted" is demographic parity's
difference without an effective n; "width" that of its interval with it.

- Groups without a difference are held about as often as is stated.
- Of groups that differ the intervals are wider than need be: they hold for all pairs of groups at once.
- Of dependent events they hold as stated, where counting each event as an independent one would be far from it.
"""


def page(runs: int) -> str:
    """The page in Markdown."""
    short = {"demographic_parity": "DP", "equal_opportunity": "EOP", "equalized_odds": "EO"}
    titles = [f"{short[name.rpartition('_')[0]]} {name.rpartition('_')[2]}" for name in COMPARISONS]
    lines = [["groups", "rates", "events", *titles, "if each event counted", "width"]]
    for seed, world in enumerate(WORLDS):
        found = coverage(world, runs, seed)
        print(world.title, found, flush=True)
        lines.append([world.title, _of(world.rates), _of(world.events), *(f"{100 * each:.1f} %" for each in
                      found.held.values()), f"{100 * found.counted:.1f} %", f"{found.width:.3f}"])  # fmt: skip
    rows = ["| " + " | ".join(line) + " |" for line in lines]
    table = "\n".join([rows[0], "|" + "---|" * len(lines[0]), *rows[1:]])
    metrics = "DP: demographic parity; EOP: equal opportunity; EO: equalised odds"
    return _TEXT.format(runs=runs, table=table, metrics=metrics)


def _of(numbers: Sequence[float]) -> str:
    least, greatest = min(numbers), max(numbers)
    return f"{least:g}" if least == greatest else f"{least:g} to {greatest:g}"


def main(words: Sequence[str] | None = None) -> int:
    """Writes the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fairness", description=__doc__)
    parser.add_argument("--runs", type=positive_whole, default=2_000, help="windows of each world (default: 2000)")
    PAGE.write_text(page(parser.parse_args(words).runs), encoding="utf-8")
    print(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
