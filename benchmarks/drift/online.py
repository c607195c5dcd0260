"""Control of false discoveries within each window, beside an online procedure over all windows so far.

`python -m benchmarks.drift.online --online_fdr PYTHON`, an interpreter that has online-fdr: half of the windows are as
the reference, then the first of 20 columns shifts by half a deviation.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.drift.simulate import Simulation, measured, reference_of

_SCRIPT = Path(__file__).parent / "peers" / "online_fdr_alarms.py"


def windows_of(rho: float, number: int) -> tuple[list[list[float]], list[bool]]:
    """The p values of each window, in the order of time, and whether the code found a drift in it."""
    p_values: list[list[float]] = []
    drifted: list[bool] = []
    for shift in (0.0, 0.5):
        case = Simulation(rho, 1_000, windows=number, shift=shift)
        table = pa.Table.from_batches(list(measured(case, reference_of(case))))
        starts = table["window_start"].cast(pa.int64()).to_numpy()
        values, found = table["p_value"].to_numpy(), table["drifted"].to_numpy(zero_copy_only=False)
        for start in np.unique(starts):
            p_values.append(values[starts == start].tolist())
            drifted.append(bool(found[starts == start].any()))
    return p_values, drifted


def online(python: Path, p_values: list[list[float]]) -> list[bool]:
    """Whether each window has a discovery by the online procedure."""
    with tempfile.TemporaryDirectory(prefix="halflife-drift-") as folder:
        path = Path(folder) / "windows.json"
        path.write_text(json.dumps(p_values), encoding="utf-8")
        done = subprocess.run([str(python), str(_SCRIPT), str(path)], capture_output=True, text=True, check=True)
    return [bool(number) for number in json.loads(done.stdout)]


def table(python: Path, number: int) -> Iterator[str]:
    """A Markdown table: the share of windows with a discovery before and after the shift."""
    yield "| ρ | within each window: before | after | online over all windows: before | after |"
    yield "|---|---|---|---|---|"
    for rho in (0.0, 0.5, 0.7):
        p_values, drifted = windows_of(rho, number)
        cells = [
            np.mean(half) for each in (drifted, online(python, p_values)) for half in (each[:number], each[number:])
        ]
        yield f"| {rho:g} | " + " | ".join(f"{100 * share:.1f} %" for share in cells) + " |"


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift.online", description=__doc__)
    parser.add_argument("--online_fdr", type=Path, help="the interpreter of an environment with online-fdr")
    parser.add_argument("--windows", type=int, default=200, help="before and after the shift (default: 200 each)")
    chosen = parser.parse_args(arguments)
    if chosen.online_fdr is None:
        print("left out: --online_fdr names no interpreter that has it", file=sys.stderr)
        return 0
    for line in table(chosen.online_fdr, chosen.windows):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
