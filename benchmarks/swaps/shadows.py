"""`python -m benchmarks.swaps.shadows`: what a second shadow of a cheap model costs the whole job's throughput."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.table import machine, markdown
from benchmarks.workload import ROOT
from models.store.store import ModelStore

MODEL = "flight-delay"
INPUTS = [{"name": name, "type": "number", "nullable": True, "default": 0.0} for name in ("dep_delay", "distance")]


def store_with(work: Path, shadows: int) -> str:
    """A store whose one release has a linear champion and this number of linear shadows; returns its URL."""
    store, payload = ModelStore(str(work / f"store-{shadows}"), MODEL), work / f"payload-{shadows}"
    payload.mkdir()
    names = [f"v{number}" for number in range(shadows + 1)]
    for number, name in enumerate(names):
        terms = {"intercept": -2.0, "coefficients": {"dep_delay": 0.05 + 0.001 * number, "distance": 0.0001}}
        manifest: dict[str, Any] = {
            "version": name, "scorer": "linear", "inputs": INPUTS, "output": {"kind": "probability"},
            "training": {"trained_at": "2013-01-01T00:00:00Z"}, "created_by": "benchmark", "linear": terms,
        }  # fmt: skip
        store.publish(payload, manifest)
    store.append_release(champion=names[0], shadows=names[1:], effective_from_us=0, by="benchmark")
    return store.url


def events_per_second(work: Path, events: str, shadows: int, run: int) -> float:
    """Steady-state rate of one run of the flights job in a process of its own."""
    out = work / f"out-{shadows}-{run}"
    settings = {"events.uri": events, "model.store": store_with(work / str(run), shadows)}
    settings |= {f"sinks.{sink}": str(out / sink) for sink in ("scores", "audit", "drift", "dead_letters")}
    command = [sys.executable, "-m", "pipeline", "--summary", str(work / "summary.json")]
    for path, value in settings.items():
        command += ["--set", f"{path}={value}"]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    summary = json.loads((work / "summary.json").read_text())
    assert summary["receipts"] == summary["scored"] * (shadows + 1)
    return float(summary["timing"]["steady_events_per_second"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure one and two shadows in turn and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.swaps.shadows")
    parser.add_argument("--events", default=str(ROOT / "data" / "departures-*.avro"), help="files to score")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="runs whose medians are given")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "SHADOWS.md", help="the page to write")
    given = parser.parse_args(arguments)
    rates: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory(prefix="halflife-shadows-") as work:
        for run in range(given.repeat):
            (Path(work) / str(run)).mkdir()
            for shadows, found in rates.items():
                found.append(events_per_second(Path(work), given.events, shadows, run))
    one, two = (statistics.median(found) for found in rates.values())
    rows = [
        ["1", f"{one:,.0f}", ""],
        ["2", f"{two:,.0f}", f"{1 - two / one:.1%}"],
    ]
    table = markdown(["shadows", "events/s, steady state", "cost of the second"], rows)
    about = (
        f"The flights job on {Path(given.events).name}, linear models, medians of {given.repeat} run(s) in turn. "
        f"Load average of the machine at the end: {os.getloadavg()[0]:.1f}. Aim: at most 25 %."
    )
    title, how = "# What a second shadow costs", "Written by `python -m benchmarks.swaps.shadows`."
    text = "\n\n".join([title, how, machine(), table, about]) + "\n"
    given.out.write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
