"""Drift on simulated windows: how often stationary events raise an alarm, and how often a shift is found.

`python -m benchmarks.drift.simulate` prints both tables (minutes; seeds are fixed). Events are first-order
autoregressions,
each column its own, with a marginal standard normal distribution; they are spread evenly over their window. Nothing of
the
code that a job runs is left out but Beam: counts by cell and block, effective rows, floors, and the false discovery
rate.
"""

import argparse
import sys
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.profiles import Profile, build_profile
from schemas.job import DriftSpec
from transforms.drift.drift_groups import count_windows
from transforms.drift.drift_records import DriftOrigin, Pane, drift_records

WINDOW_US = 3_600_000_000
SPEC = DriftSpec(WINDOW_US, 0, (), psi_threshold=1e-9, ks_threshold=1e-9)
"""Thresholds so low that chance alone decides."""
_VALUES_TOGETHER = 2_000_000
Floats = npt.NDArray[np.float64]


class Simulation(NamedTuple):
    """Windows of `n` rows and `columns` columns of autocorrelation `rho`; `shift` of the first column in deviations."""

    rho: float
    n: int
    columns: int = 20
    windows: int = 1_000
    shift: float = 0.0
    seed: int = 20130101


class Alarms(NamedTuple):
    """Of all windows, the share in which any column drifted, and that in which the first did; rows that were
    independent."""

    any: float
    first: float
    n_effective: float


def autoregression(rng: np.random.Generator, rho: float, rows: int, series: int) -> Floats:
    """Stationary series of unit variance, shape (rows, series)."""
    values = rng.normal(size=(rows, series))
    scale = np.sqrt(1 - rho * rho)
    for row in range(1, rows):
        values[row] = rho * values[row - 1] + scale * values[row]
    return values


def reference_of(simulation: Simulation, rows: int = 50_000) -> Profile:
    """The profile of a training sample of the same process, of one series for each column."""
    rng = np.random.default_rng(simulation.seed + 1)
    sample = autoregression(rng, simulation.rho, rows, simulation.columns)
    return build_profile(pa.record_batch(list(sample.T), _names(simulation)), _names(simulation))


def _names(simulation: Simulation) -> list[str]:
    return [f"c{index:02}" for index in range(simulation.columns)]


def measured(simulation: Simulation, profile: Profile, spec: DriftSpec = SPEC) -> Iterator[pa.RecordBatch]:
    """The drift records of all windows, in parts."""
    rng = np.random.default_rng(simulation.seed)
    together = max(1, _VALUES_TOGETHER // (simulation.n * simulation.columns))
    for first in range(0, simulation.windows, together):
        windows = min(together, simulation.windows - first)
        values = autoregression(rng, simulation.rho, simulation.n, windows * simulation.columns)
        values = values.reshape(simulation.n, windows, simulation.columns).transpose(1, 0, 2).copy()
        values[:, :, 0] += simulation.shift
        yield _records(values, first, profile, spec)


def _records(values: Floats, first: int, profile: Profile, spec: DriftSpec) -> pa.RecordBatch:
    windows, n, _ = values.shape
    within = (np.arange(n) * WINDOW_US) // n
    times = ((first + np.arange(windows))[:, np.newaxis] * WINDOW_US + within).reshape(-1)
    data = {name: values[:, :, index].reshape(-1) for index, name in enumerate(profile.spans)}
    fixed = {
        "__event_time": pa.array(times, pa.timestamp("us", "UTC")),
        "__role": pa.repeat(pa.scalar("champion"), len(times)),
    }
    panes = [
        Pane(piece.counts, DriftOrigin(piece.window_start_us, piece.window_start_us + WINDOW_US, 0, "m", "1"))
        for piece in count_windows(profile, pa.record_batch({**fixed, **data}), (), WINDOW_US)
    ]
    return drift_records(profile, panes, spec)


def alarms(simulation: Simulation, spec: DriftSpec = SPEC) -> Alarms:
    """How often windows raise an alarm."""
    found = pa.Table.from_batches(list(measured(simulation, reference_of(simulation), spec)))
    windows = found["window_start"].cast(pa.int64()).to_numpy()
    drifted = found["drifted"].to_numpy(zero_copy_only=False)
    first = drifted & (found["column"].to_numpy(zero_copy_only=False) == "c00")
    rows = float(np.median(found["n_effective"].to_numpy()))
    share, of_first = (len(np.unique(windows[mask])) / simulation.windows for mask in (drifted, first))
    return Alarms(share, of_first, rows)


RHOS = (0.0, 0.3, 0.5, 0.7, 0.9)
SIZES = (35, 100, 300, 1_000, 5_000)
SHIFTS = (0.25, 0.5, 1.0)


def false_alarms(windows: int) -> Iterator[str]:
    """A Markdown table: share of windows with any alarm, by n and ρ."""
    yield "| n | " + " | ".join(f"ρ = {rho:g}" for rho in RHOS) + " |"
    yield "|---" * (len(RHOS) + 1) + "|"
    for n in SIZES:
        found = [alarms(Simulation(rho, n, windows=windows)) for rho in RHOS]
        yield f"| {n:,} | " + " | ".join(f"{100 * one.any:.1f} % ({one.n_effective:,.0f})" for one in found) + " |"


def power(windows: int) -> Iterator[str]:
    """A Markdown table: share of windows in which a shift of one column is found, by columns, shift, n and ρ."""
    yield "| columns | shift | n | " + " | ".join(f"ρ = {rho:g}" for rho in RHOS) + " |"
    yield "|---" * (len(RHOS) + 3) + "|"
    for columns in (1, 20):
        for shift in SHIFTS:
            for n in SIZES:
                found = [alarms(Simulation(rho, n, columns, windows, shift)).first for rho in RHOS]
                yield f"| {columns} | {shift:g} | {n:,} | " + " | ".join(f"{100 * one:.0f} %" for one in found) + " |"


def main(arguments: list[str] | None = None) -> int:
    """The command line; prints the tables as they are made."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift.simulate", description=__doc__)
    parser.add_argument("--windows", type=int, default=1_000, help="of each false-alarm rate (default: 1000)")
    parser.add_argument("--power_windows", type=int, default=200, help="of each power (default: 200)")
    chosen = parser.parse_args(arguments)
    for line in chain(false_alarms(chosen.windows), [""], power(chosen.power_windows)):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
