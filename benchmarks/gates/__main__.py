"""`python -m benchmarks.gates` (`make bench-gates`): simulates rollouts and writes benchmarks/GATES.md."""

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.gates.page import Simulated, page_of
from benchmarks.gates.runs import run
from benchmarks.gates.scenarios import SCENARIOS

_PAGE = Path(__file__).resolve().parents[1] / "GATES.md"


def main() -> int:
    """Runs all scenarios, and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gates", allow_abbrev=False)
    parser.add_argument("--runs", type=int, default=1000, help="of each scenario (default: 1000)")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    simulated = list[Simulated]()
    with ProcessPoolExecutor(options.processes) as pool:
        for scenario in SCENARIOS:
            began = time.perf_counter()
            seeds = range(scenario.seed, scenario.seed + options.runs * scenario.times)
            outcomes = tuple(pool.map(partial(run, scenario), seeds, chunksize=10))
            simulated.append(Simulated(scenario, outcomes))
            took = time.perf_counter() - began
            print(f"{scenario.name}: {simulated[-1].summary()} ({took:.0f} s)", file=sys.stderr, flush=True)
    _PAGE.write_text(page_of(simulated), encoding="utf-8")
    print(_PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
