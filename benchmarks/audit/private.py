"""What an audit that can be proven, and of which persons can be erased, costs a job: a year of flights with receipts
alone, and with index, chain and encryption too, also where every event is of another subject.

    python -m benchmarks.audit.private DATA     prints the rows of benchmarks/AUDIT.md
"""

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import child, spawn
from benchmarks.workload import ROOT
from schemas.native import compiled

_ROUNDS = 3
_YEAR, _MONTH = 12, 1
_ALONE = "receipts alone"
WAYS: Mapping[str, tuple[str, ...]] = {
    _ALONE: (),
    "with index and chain": ("audit.seal.in_job=true",),
    "with index, chain and encryption": ("audit.seal.in_job=true", "privacy.keys={keys}"),
    "the same, as many subjects as events": ("audit.seal.in_job=true", "privacy.keys={keys}", "events.subject=id"),
}
_BOUND = dict.fromkeys(list(WAYS)[2:], "15 % more")


class JobCost(NamedTuple):
    """Of a way: CPU, and time on the clock, for each event in microseconds, with sealing and without the start; medians
    of some rounds."""

    cpu_us: float
    clock_us: float


def job_costs(data: Path, folder: Path, rounds: int = _ROUNDS) -> dict[str, JobCost]:
    """What each way costs, in rounds of all ways, so that a machine that is busy meanwhile is so for all.

    Args:
        data: flights of 2013 as Avro files, one for each month (`make data`).
        folder: for what the jobs write.
    """
    work = folder / "job"
    spawn(child("prepare", str(data), str(work), str(_MONTH), str(_YEAR)), folder / "prepare.log")
    events = {int(months): n for months, n in json.loads((work / "prepared.json").read_text())["events"].items()}
    cpu: dict[str, list[float]] = {way: [] for way in WAYS}
    clock: dict[str, list[float]] = {way: [] for way in WAYS}
    more = events[_YEAR] - events[_MONTH]
    for _ in range(rounds):
        for way, settings in WAYS.items():
            month, year = (_run(work, months, settings) for months in (_MONTH, _YEAR))
            cpu[way].append((year[0] - month[0]) / more * 1e6)
            clock[way].append((year[1] - month[1]) / more * 1e6)
    return {way: JobCost(statistics.median(cpu[way]), statistics.median(clock[way])) for way in WAYS}


def cost_rows(found: Mapping[str, JobCost]) -> list[tuple[str, str, str]]:
    """What, how much, and the bound of the design, for each way."""
    alone = found[_ALONE]
    return [(f"a year of flights, {way}", _told(cost, alone), _BOUND.get(way, "")) for way, cost in found.items()]


def _told(cost: JobCost, alone: JobCost) -> str:
    cpu, clock = "", ""
    if cost is not alone:
        cpu, clock = (f", {own / other - 1:+.0%}" for own, other in zip(cost, alone, strict=True))
    rate = f"{1e6 / cost.clock_us:,.0f} events/s, {cost.clock_us:.1f} µs{clock}"
    return f"{cost.cpu_us:.1f} µs of CPU an event{cpu}; {rate}"


def _run(work: Path, months: int, settings: tuple[str, ...]) -> tuple[float, float]:
    """Seconds of CPU of a whole run, and on the clock: sealing comes after the summary."""
    out = work / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    sinks = {f"sinks.{name}": str(out / name) for name in ("scores", "audit", "dead_letters")}
    given = {"events.uri": f"{work}/input-{months}/*.avro", "model.store": str(work / "store"), **sinks}
    command = [sys.executable, "-m", "pipeline", "--job", str(ROOT / "benchmarks" / "flights.yaml")]
    for setting in [*(f"{path}={value}" for path, value in given.items()), *settings]:
        command += ["--set", setting.format(keys=work / "out" / "keys")]
    began = time.monotonic()
    usage = spawn(command, work / "run.log")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - began


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="halflife-bench-private-") as scratch:
        for row in cost_rows(job_costs(Path(sys.argv[1]), Path(scratch))):
            sys.stdout.write(" | ".join(row) + "\n")
    said = "compiled" if compiled.EACH is not None else "in Python"
    sys.stdout.write(f"{os.cpu_count()} cores, load {os.getloadavg()[2]:.1f}; hashes and ciphers {said}\n")
