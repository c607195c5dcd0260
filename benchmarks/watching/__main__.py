"""`make bench-watching`: what drift, quality and pairs cost the year of flights, in runs that take turns."""

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

import fastavro
import numpy as np
import pyarrow as pa
import yaml

from benchmarks.arguments import positive_whole
from benchmarks.table import machine, markdown
from benchmarks.watching.sizes import sizes
from benchmarks.workload import ROOT
from models.profiles import build_profile, serialise_profile
from models.releases.release import Challenger
from models.store.store import ModelStore

WAYS = ("nothing", "drift", "drift, pairs", "drift, quality, pairs")
ROLES = {"a champion": {}, "a champion, a challenger (10 %), a shadow": {
    "challengers": [Challenger("v2", 0.1)], "shadows": ("v3",)}}  # fmt: skip
_INPUTS = ("dep_delay", "distance", "sched_dep_hour")
_AIM = 25  # %
_WHY = (
    " Reason: what is measured grows with the answers, which are two of each event where a shadow answers beside: each "
    "is counted for drift, joined with its label, added up by day, segment and part of the day, and compared with the "
    "other. What it is compared with grows little: a linear model scores a batch in microseconds, and reading, "
    "features and receipts are shared by all versions. The share falls with models that take longer."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures all ways in turn and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watching", description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="folder of departures- and arrivals-*.avro")
    parser.add_argument("--repeat", type=positive_whole, default=3, metavar="N", help="runs whose medians are given")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "WATCHING.md", help="the page to write")
    given = parser.parse_args(arguments)
    rows = []
    with tempfile.TemporaryDirectory(prefix="halflife-watching-") as folder:
        for number, (roles, said) in enumerate(ROLES.items()):
            store = _store(Path(folder) / f"store-{number}", given.data, said)
            found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
            for _ in range(given.repeat):
                for way in WAYS:
                    found[way].append(_measured(Path(folder), given.data, store, way))
            rows += _rows(roles, found)
    text = _page(rows, given.repeat)
    given.out.write_text(text, encoding="utf-8")
    print(text)
    return 0


def _store(folder: Path, data: Path, roles: dict[str, Any]) -> str:
    store, payload = ModelStore(str(folder), "flight-delay"), folder.with_name(f"{folder.name}-payload")
    payload.mkdir()
    with sorted(data.glob("departures-*.avro"))[0].open("rb") as stream:
        sample = [row for row in fastavro.reader(stream) if isinstance(row, dict)]
    columns = {name: pa.array([row[name] for row in sample], pa.float64()) for name in _INPUTS}
    late = np.nan_to_num(columns["dep_delay"].to_numpy(zero_copy_only=False))
    table = pa.table(columns | {"score": 1 / (1 + np.exp(1.8 - 0.06 * late))})
    (payload / "profile.json").write_bytes(serialise_profile(build_profile(table, ["score", *_INPUTS])))
    for number, slope in enumerate((0.06, 0.055, 0.05)):
        terms = {"intercept": -1.8, "coefficients": dict.fromkeys(_INPUTS, 0.0) | {"dep_delay": slope}}
        inputs = [{"name": name, "type": "number", "nullable": True, "default": 0.0} for name in _INPUTS]
        store.publish(payload, {
            "version": f"v{number + 1}", "scorer": "linear", "inputs": inputs, "linear": terms,
            "output": {"kind": "probability", "threshold": 0.5, "positive": "late"}, "profile": "profile.json",
            "training": {"trained_at": "2013-01-01T00:00:00Z"}, "created_by": "benchmarks",
        })  # fmt: skip
    store.append_release(champion="v1", effective_from_us=0, by="benchmarks", **roles)
    return store.url


def _measured(folder: Path, data: Path, store: str, way: str) -> dict[str, Any]:
    """One run: `{cpu_s, steady_s, records}`."""
    job = yaml.safe_load((ROOT / "pipeline" / "jobs" / "flights.yaml").read_text(encoding="utf-8"))
    job["events"]["uri"], job["model"]["store"] = str(data / "departures-*.avro"), store
    job["labels"]["uri"] = str(data / "arrivals-*.avro")
    job["sinks"] = {name: str(folder / "out" / name) for name in job["sinks"]}
    if "pairs" not in way:
        del job["sinks"]["quality"]
    if "quality" not in way:
        del job["labels"]
    spec, summary = folder / "job.yaml", folder / "summary.json"
    spec.write_text(yaml.safe_dump(job), encoding="utf-8")
    words = ["--job", str(spec), "--sinks", "replace"]
    command = [sys.executable, "-m", "benchmarks.watching.child", way, str(summary), *words]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(summary.with_suffix(".measured").read_text())
    return found


def _rows(roles: str, found: dict[str, list[dict[str, Any]]]) -> list[list[str]]:
    cpu = {way: statistics.median(run["cpu_s"] for run in runs) for way, runs in found.items()}
    steady = {way: statistics.median(run["steady_s"] for run in runs) for way, runs in found.items()}
    return [
        [
            roles, way, f"{cpu[way]:.2f}", f"{1 - cpu[WAYS[0]] / cpu[way]:.0%}", f"{steady[way]:.2f}",
            f"{1 - steady[WAYS[0]] / steady[way]:.0%}", f"{found[way][0]['records'] or 0:,}",
        ]
        for way in WAYS
    ]  # fmt: skip


def _page(rows: list[list[str]], repeat: int) -> str:
    heads = ["versions", "measured", "CPU s", "less throughput, by CPU", "steady s", "less, by the clock",
             "records of quality"]  # fmt: skip
    bytes_of = markdown(["kept in state", "bytes"], [[name, f"{size:,.0f}"] for name, size in sizes().items()])
    about = (
        f"The flights job (`pipeline/jobs/flights.yaml`) over the year, linear models, medians of {repeat} runs in "
        "turn; CPU of the whole process from the start of the graph to its end. Where several versions score, they do "
        f"in each row: only the measuring differs. Load average of the machine at the end: {os.getloadavg()[0]:.1f}. "
        "Aim: at most 25 % for drift, quality and pairs together."
    )
    how = "Written by `make bench-watching` (`python -m benchmarks.watching`)."
    head = ["# What watching costs", how, machine(), markdown(heads, rows)]
    parts = [*head, about, _verdict(rows), "## State", bytes_of]
    return "\n\n".join(parts) + "\n"


def _verdict(rows: list[list[str]]) -> str:
    """Of each set of versions whether the aim is kept, by CPU; and where it is missed why."""
    whole = {row[0]: row[3] for row in rows if row[1] == WAYS[-1]}
    kept = [f"{roles}: {share}, {'kept' if int(share[:-1]) <= _AIM else 'missed'}" for roles, share in whole.items()]
    return f"**All three together, of {_AIM} %:** {'; '.join(kept)}.{_WHY if 'missed' in ' '.join(kept) else ''}"


if __name__ == "__main__":
    sys.exit(main())
