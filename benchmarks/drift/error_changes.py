"""How often detectors of changes are wrong, and how soon they are right: `python -m benchmarks.drift.error_changes`.

Errors of 1 in 10 decisions, in 400 blocks, with a latent first-order autoregression of coefficient rho from event to
event; from block 200 on there are as many errors, 20 % more or 50 % more. Seeds are fixed.
"""

import argparse
import time
from statistics import median

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter  # type: ignore[import-untyped]  # ships no types
from scipy.stats import norm  # type: ignore[import-untyped]

from schemas.job import ConceptDriftSpec
from transforms.quality.changes.detectors import DETECTORS
from transforms.quality.changes.error_changes import ErrorBlock, ErrorChange, error_changes

BLOCKS, CHANGES_AT, RATE = 400, 200, 0.1


def blocks(seed: int, rho: float, size: int, worse_by: float) -> list[ErrorBlock]:
    """A stream's blocks; block `i` lasts from time `i` to `i + 1`."""
    steps = np.random.default_rng(seed).standard_normal(BLOCKS * size) * np.sqrt(1 - rho**2)
    latent: npt.NDArray[np.float64] = lfilter([1.0], [1.0, -rho], steps)
    rate = np.where(np.arange(BLOCKS * size) < CHANGES_AT * size, RATE, RATE * worse_by)
    wrong = (norm.sf(latent) < rate).reshape(BLOCKS, size)
    return [ErrorBlock(at, at + 1, size, mean) for at, mean in enumerate(wrong.mean(axis=1).tolist())]


def row(detector: str, rho: float, size: int, worse_by: float, streams: int) -> str:
    """One line of the table."""
    spec, found = ConceptDriftSpec(), list[list[ErrorChange]]()
    for seed in range(streams):
        found.append(error_changes(blocks(seed, rho, size, worse_by), detector, spec, shares=True))
    told = f"| {detector} | {rho} | {size} | {worse_by - 1:.0%} "
    if worse_by == 1:
        rate = sum(map(len, found)) / streams / BLOCKS * 1000
        return f"{told}| {sum(map(bool, found)) / streams:.1%} | {rate:.2f} | | |"
    right = [next((each for each in own if each.seen_us > CHANGES_AT), None) for own in found]
    seen = [each for each in right if each is not None]
    if not seen:
        return f"{told}| 0.0% | | | |"
    late = median(each.seen_us - CHANGES_AT for each in seen)
    off = median(abs(each.begins_us - CHANGES_AT) for each in seen)
    return f"{told}| {len(seen) / streams:.1%} | | {late:g} | {off:g} |"


def cost(detector: str) -> str:
    """What a block costs, as far as that is not chance."""
    own, spec = blocks(1, 0.0, 200, 1.0), ConceptDriftSpec()
    error_changes(own, detector, spec, shares=True)
    began = time.perf_counter()
    for _ in range(20):
        error_changes(own, detector, spec, shares=True)
    took = (time.perf_counter() - began) / 20 / BLOCKS
    return f"{detector}: {took * 1e6:.1f} us a block, {took / 200 * 1e9:.0f} ns a label in blocks of 200"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift.error_changes", allow_abbrev=False)
    parser.add_argument("--streams", type=int, default=1000, help="of each line (default: 1000)")
    streams = parser.parse_args().streams
    heads = (
        "detector",
        "rho",
        "block",
        "worse by",
        "streams with a change",
        "in 1,000 blocks",
        "blocks late",
        "off by",
    )
    print(f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", sep="\n")
    for size in (100, 200):
        for worse_by in (1.0, 1.2, 1.5):
            for rho in (0.0, 0.5, 0.7, 0.9):
                for detector in DETECTORS:
                    print(row(detector, rho, size, worse_by, streams), flush=True)
    for detector in DETECTORS:
        print(cost(detector))


if __name__ == "__main__":
    main()
