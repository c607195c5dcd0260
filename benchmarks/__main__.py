"""`python -m benchmarks`: this job, Beam's `RunInference` and a bare loop on the same flights, as a table."""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import JOB, PEERS, WAYS, BenchmarkFailed, Measured, child, measure, median, spawn
from benchmarks.table import TITLES, page
from benchmarks.workload import ROOT, Workload

BARE = "bare"
YEAR = 12


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: each way's months and repetitions, where the data is and where everything is written."""

    ways: tuple[str, ...]
    months: int
    peer_months: int
    repeat: int
    peer_repeat: int
    data: Path
    work: Path
    out: Path

    def span(self, way: str) -> int:
        """Months of input for a way."""
        return self.peer_months if way in PEERS else self.months

    def runs(self, way: str) -> int:
        """Repetitions of a way."""
        return self.peer_repeat if way in PEERS else self.repeat

    def spans(self) -> list[int]:
        """All spans of months that any run needs, including the shorter ones from which the growth of memory is
        measured."""
        needed = {self.span(way) for way in self.ways}
        return sorted(needed | {smaller(months) for months in needed})


def smaller(months: int) -> int:
    """The shorter span from which the growth of memory is measured."""
    return max(1, months // 2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the plan, writes and prints the page. Exit 0 done, 1 failed, 2 bad usage."""
    plan = _plan(arguments)
    try:
        text, disagreeing = _run(plan)
    except BenchmarkFailed as problem:
        print(f"benchmarks: {problem}", file=sys.stderr)
        return 1
    plan.out.write_text(text)
    print(text)
    if disagreeing:
        print(f"benchmarks: outputs differ from the bare loop's: {', '.join(disagreeing)}", file=sys.stderr)
    return 1 if disagreeing else 0


def _run(plan: Plan) -> tuple[str, list[str]]:
    """The page, and the titles of the ways whose outputs do not agree."""
    shutil.rmtree(plan.work, ignore_errors=True)
    plan.work.mkdir(parents=True)
    _prepare(plan)
    prepared = json.loads((plan.work / "prepared.json").read_text())
    runs: list[Measured] = []
    small: list[Measured] = []
    for way in plan.ways:
        months = plan.span(way)
        if way not in PEERS and smaller(months) < months:  # half a year of RunInference took ten minutes
            small.append(_measure(plan, way, smaller(months), prepared))
        runs.append(median([_measure(plan, way, months, prepared) for _ in range(plan.runs(way))]))
    agreement = _agreement(plan, prepared)
    return page(runs, small, agreement), [TITLES[one["name"]] for one in agreement if not one["agrees"]]


def _prepare(plan: Plan) -> None:
    """Makes the data where they are absent, the model and its store, and compiles all bytecode, before anything is
    measured."""
    log = plan.work / "prepare.txt"
    _progress("preparing the input and the model")
    pattern = "departures-2013-*.avro"
    if not list(plan.data.glob(pattern)):
        spawn([sys.executable, "-m", "examples.flights.prepare", "--out", str(plan.data)], log)
    found, wanted = len(list(plan.data.glob(pattern))), max(plan.spans())
    if found < wanted:
        raise BenchmarkFailed(
            f"{plan.data}: {found} files {pattern}; needed: one for each of {wanted} months"
        )
    spawn(child("prepare", str(plan.data), str(plan.work), *map(str, plan.spans())), log)
    spawn(child("warm"), log)
    if JOB in plan.ways:
        spawn([sys.executable, "-m", "pipeline", "--help"], log)


def _measure(plan: Plan, way: str, months: int, prepared: dict[str, Any]) -> Measured:
    events = prepared["events"][str(months)]
    _progress(f"{TITLES[way]}: {months} months, {events:,} events")
    return measure(way, months, events, _workload(plan, way, months, prepared))


def _workload(plan: Plan, way: str, months: int, prepared: dict[str, Any]) -> Workload:
    work = plan.work
    out = _output(plan, way, months)
    return Workload(
        events=str(work / f"input-{months}" / "departures-*.avro"),
        store=str(work / "store"),
        skops=str(work / "bundle" / "model.skops"),
        pickle=str(work / "model.pickle"),
        out=str(out),
        marks=str(out / "summary.json"),
        **prepared["identity"],
    )


def _output(plan: Plan, way: str, months: int) -> Path:
    return plan.work / f"{way}-{months}"


def _agreement(plan: Plan, prepared: dict[str, Any]) -> list[dict[str, Any]]:
    """Each way's outputs against those of the bare loop on the same span."""
    pairs = []
    for way in plan.ways:
        months = plan.span(way)
        reference = _output(plan, BARE, months)
        if way == BARE:
            continue
        if not reference.exists():
            _measure(plan, BARE, months, prepared)
        left, right = str(_output(plan, way, months)), str(reference)
        pairs.append({"name": way, "left": left, "right": right})
    task, result = plan.work / "compare.json", plan.work / "agreement.json"
    task.write_text(json.dumps({"pairs": pairs, "result": str(result)}))
    _progress("comparing the outputs")
    spawn(child("compare", str(task)), plan.work / "compare.txt")
    found: list[dict[str, Any]] = json.loads(result.read_text())
    return found


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        print(line, file=sys.stderr)


def _plan(arguments: Sequence[str] | None) -> Plan:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    months = range(1, YEAR + 1)
    parser.add_argument(
        "--only", nargs="+", choices=WAYS, default=list(WAYS), help="ways to run (default: all)"
    )
    parser.add_argument(
        "--months", type=int, choices=months, default=YEAR, metavar="N", help="months of input"
    )
    parser.add_argument(
        "--peer-months", type=int, choices=months, metavar="N", help="the same for RunInference"
    )
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="runs whose medians are given")
    parser.add_argument("--peer-repeat", type=int, default=1, metavar="N", help="the same for RunInference")
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="folder of departures-2013-*.avro")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "out" / "benchmarks", help="emptied and written to"
    )
    parser.add_argument(
        "--out", type=Path, default=ROOT / "benchmarks" / "RESULTS.md", help="the page to write"
    )
    given = parser.parse_args(arguments)
    if min(given.repeat, given.peer_repeat) < 1:
        parser.error("--repeat and --peer-repeat: at least 1")
    return Plan(
        ways=tuple(way for way in WAYS if way in given.only),
        months=given.months,
        peer_months=given.peer_months or given.months,
        repeat=given.repeat,
        peer_repeat=given.peer_repeat,
        data=given.data.resolve(),
        work=given.work.resolve(),
        out=given.out.resolve(),
    )


if __name__ == "__main__":
    sys.exit(main())
