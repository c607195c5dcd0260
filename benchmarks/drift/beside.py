"""Drift of Halflife beside evidently, nannyml and scipy, on the same simulated windows.

`python -m benchmarks.drift.beside --evidently PYTHON --nannyml PYTHON` prints a table; each PYTHON is the interpreter
of an environment that has the package. Without one, its column is left out, and a line says so.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import stats  # type: ignore[import-untyped]  # ships no types

from benchmarks.drift.simulate import RHOS, SHIFTS, SIZES, WINDOW_US, Floats, Simulation, autoregression
from models.profiles import build_profile
from schemas.job import DriftSpec
from transforms.drift.drift_groups import count_windows
from transforms.drift.drift_records import DriftOrigin, Pane, drift_records

COLUMNS = 20
REFERENCE_ROWS = 20_000
# As a job has it that sets nothing.
SPEC = DriftSpec(WINDOW_US, 0, (), psi_threshold=0.2, ks_threshold=0.1)
CASES = (
    *((n, rho, 0.0) for n in SIZES for rho in RHOS),
    *((1_000, rho, shift) for rho in RHOS for shift in SHIFTS if shift < 1),
)
_MOST_VALUES = 20_000_000
_HERE = Path(__file__).parent / "peers"
_PEERS = ("evidently", "nannyml")

Alarmed: TypeAlias = Mapping[int, list[str]]


class Windows(NamedTuple):
    """`reference` of shape (rows, columns), `values` of shape (windows, rows, columns)."""

    reference: Floats
    values: Floats

    @property
    def names(self) -> list[str]:
        """Of the columns."""
        return [f"c{index:02}" for index in range(self.reference.shape[1])]


def windows_of(case: Simulation) -> Windows:
    """Simulated windows; the first column is shifted."""
    rng = np.random.default_rng(case.seed)
    reference = autoregression(rng, case.rho, REFERENCE_ROWS, case.columns)
    values = autoregression(rng, case.rho, case.n, case.windows * case.columns)
    values = values.reshape(case.n, case.windows, case.columns).transpose(1, 0, 2).copy()
    values[:, :, 0] += case.shift
    return Windows(reference, values)


def halflife_alarms(windows: Windows) -> Alarmed:
    """What a job would say with its default thresholds."""
    names, (number, n, _) = windows.names, windows.values.shape
    profile = build_profile(pa.record_batch(list(windows.reference.T), names), names)
    times = (np.arange(number)[:, np.newaxis] * WINDOW_US + np.arange(n) * WINDOW_US // n).reshape(-1)
    columns = {name: windows.values[:, :, index].reshape(-1) for index, name in enumerate(names)}
    fixed = {"__event_time": pa.array(times, pa.timestamp("us", "UTC"))}
    role = {"__role": pa.repeat(pa.scalar("champion"), len(times))}
    pieces = count_windows(profile, pa.record_batch(fixed | role | columns), (), WINDOW_US)
    panes = [Pane(one.counts, DriftOrigin(one.window_start_us, one.window_start_us + WINDOW_US, 0, "m", "1"))
             for one in pieces]  # fmt: skip
    found: dict[int, list[str]] = {}
    records = drift_records(profile, panes, SPEC)
    starts = records["window_start"].cast(pa.int64()).to_pylist()
    for start, column, drifted in zip(
        starts, records["column"].to_pylist(), records["drifted"].to_pylist(), strict=True
    ):
        if drifted:
            found.setdefault(start // WINDOW_US, []).append(column)
    return found


def scipy_alarms(windows: Windows) -> tuple[Alarmed, Alarmed]:
    """`ks_2samp` of each column: below 0.05, and below 0.05 / columns (Bonferroni)."""
    reference = np.sort(windows.reference, axis=0)  # which it would be in each call
    p_values = [
        [stats.ks_2samp(values[:, column], reference[:, column]).pvalue for column in range(len(windows.names))]
        for values in windows.values
    ]
    once, each = (_below(p_values, level, windows.names) for level in (0.05, 0.05 / len(windows.names)))
    return once, each


def _below(p_values: list[list[float]], level: float, names: list[str]) -> Alarmed:
    return {
        index: [name for name, p_value in zip(names, row, strict=True) if p_value < level]
        for index, row in enumerate(p_values)
    }


def peer_alarms(peer: str, python: Path, windows: Windows) -> Alarmed:
    """What another package says, in an environment of its own.

    Raises:
        RuntimeError: it fails; with the last line that it said.
    """
    with tempfile.TemporaryDirectory(prefix="halflife-drift-") as folder:
        number, n, _ = windows.values.shape
        reference = pa.table(list(windows.reference.T), windows.names)
        flat = [windows.values[:, :, index].reshape(-1) for index in range(len(windows.names))]
        rows = pa.table([*flat, np.repeat(np.arange(number), n)], [*windows.names, "window"])
        pq.write_table(reference, Path(folder) / "reference.parquet")
        pq.write_table(rows, Path(folder) / "windows.parquet")
        command = [str(python), "-W", "ignore", str(_HERE / f"{peer}_alarms.py"), folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{peer} failed: {done.stderr.strip().splitlines()[-1]}; expected: its package in {python}")
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    return {int(window): names for window, names in found.items()}


def table(number: int, pythons: Mapping[str, Path], cases: Sequence[tuple[int, float, float]]) -> Iterator[str]:
    """A Markdown table: the share of windows with an alarm; where the first column is shifted, with one of that column,
    and in brackets of another."""
    ways = ["halflife", "scipy, p < 0.05", f"scipy, p < 0.05 / {COLUMNS}", *pythons]
    yield "| n | ρ | shift | windows | " + " | ".join(ways) + " |"
    yield "|---" * (len(ways) + 4) + "|"
    for n, rho, shift in cases:
        some = min(number, _MOST_VALUES // (n * COLUMNS))
        windows = windows_of(Simulation(rho, n, COLUMNS, some, shift))
        found = [halflife_alarms(windows), *scipy_alarms(windows)]
        found += [peer_alarms(peer, python, windows) for peer, python in pythons.items()]
        cells = [_cell(alarmed, some, shift) for alarmed in found]
        yield f"| {n:,} | {rho:g} | {shift:g} | {some:,} | " + " | ".join(cells) + " |"


def _cell(found: Alarmed, number: int, shift: float) -> str:
    others = sum(any(name != "c00" for name in columns) for columns in found.values())
    first = sum("c00" in columns for columns in found.values())
    if not shift:
        return f"{100 * sum(map(bool, found.values())) / number:.0f} %"
    return f"{100 * first / number:.0f} % ({100 * others / number:.0f} %)"


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift.beside", description=__doc__)
    parser.add_argument("--windows", type=int, default=100, help="of each case (default: 100)")
    parser.add_argument("--n", type=int, nargs="+", choices=SIZES, help="only windows of so many rows")
    for peer in _PEERS:
        parser.add_argument(f"--{peer}", type=Path, help=f"the interpreter of an environment with {peer}")
    chosen = parser.parse_args(arguments)
    pythons = {peer: path for peer in _PEERS if (path := getattr(chosen, peer)) is not None}
    for peer in _PEERS:
        if peer not in pythons:
            print(f"{peer} is left out: --{peer} names no interpreter that has it", file=sys.stderr)
    cases = [case for case in CASES if chosen.n is None or case[0] in chosen.n]
    for line in table(chosen.windows, pythons, cases):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
