"""The demo of the loans: applications are decided by two versions, and one rejection is asked about afterwards.

`make demo-loans` runs it. What exists already is reused: a second run only scores and asks.
"""

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from examples.drift import statistics_of
from examples.loans.bundles import NothingToLearn
from examples.loans.fairness import FairWeek, fair_week
from examples.loans.plan import MODEL
from examples.loans.prepare import OUTCOMES, prepare
from examples.loans.questions import KEY, Asked, answers, find_rejection
from examples.loans.source import ANALYSIS
from examples.loans.train import JOB, is_made, make_store, report
from examples.packages import SourceUnavailable
from examples.steps import StepFailed, command, console_of, step
from models.errors import BundleRefused, StoreError
from models.store.store import ModelStore
from pipeline.reporting.drifted_windows import drifted_windows
from schemas.validation import SpecError

_WEEKS_TOLD = 6


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the demo keeps its files; the defaults are those of job.yaml. `wheel`: the package's file, if not that of
    the package index."""

    data: Path = Path("data/loans")
    store: Path = Path("data/loans/models")
    out: Path = Path("out/loans")
    wheel: Path | None = None

    def settings(self) -> list[str]:
        """The arguments that make job.yaml the job of these paths; none for the default ones."""
        if self == Paths():
            return []
        values = {"events.uri": self.data / ANALYSIS, "labels.uri": self.data / OUTCOMES, "model.store": self.store}
        values |= {f"sinks.{name}": self.out / name for name in ("scores", "audit", "drift", "quality", "dead_letters")}
        values["audit.key"] = self.out / KEY
        return [argument for path, value in values.items() for argument in ("--set", f"{path}={value}")]


def main(paths: Paths | None = None) -> int:
    """Runs the demo from the root of a checkout; 0 done, 1 failed."""
    try:
        _run(console_of(), paths or Paths())
    except (SourceUnavailable, StepFailed, NothingToLearn, SpecError, BundleRefused, StoreError, OSError) as problem:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"error: {problem}", markup=False)
        return 1
    return 0


def _run(console: Console, paths: Paths) -> None:
    console.print("[bold]Halflife: applications for car loans (synthetic), and the questions after a rejection[/bold]")
    with step(console, "applications and their later outcomes"):
        prepare(paths.data, wheel=paths.wheel)
    with step(console, "two versions trained, published and released"):
        trained = [] if is_made(paths.data, paths.store) else make_store(paths.data, paths.store)
    if trained:
        console.print("".join(f"    {line}\n" for line in report(trained).splitlines()), end="", markup=False)
    with step(console, "the applications decided: halflife run"):
        paths.out.mkdir(parents=True, exist_ok=True)
        summary = paths.out / "summary.json"
        command("run", "--job", str(JOB), "--summary", str(summary), *paths.settings())
    counted = json.loads(summary.read_text(encoding="utf-8"))
    _tell_run(console, counted)
    _tell_drift(console, paths.out / "drift", counted["run"])
    _tell_fairness(console, fair_week(paths.out / "quality", counted["run"]))
    _ask(console, paths)


def _tell_run(console: Console, summary: dict[str, Any]) -> None:
    table = Table("version", "role", "scored", box=None, pad_edge=False, padding=(0, 2, 0, 2))
    for version, roles in sorted(summary["versions"].items()):
        for role, count in sorted(roles.items()):
            table.add_row(version, role, f"{count:,}")
    console.print()
    console.print(table)
    for sequence, each in summary["release_outcomes"].items():
        if each["outcome"] != "admitted":
            console.print(f"  release {sequence} changed nothing: {each['reason']}: {each['detail']}", markup=False)


def _tell_drift(console: Console, folder: Path, run: str) -> None:
    """The first weeks in which a column drifted, one line each."""
    windows = sorted(drifted_windows(statistics_of(folder, run)), key=lambda window: (window.start, window.version))
    told = f"first of {len({window.start for window in windows})} weeks that drifted"
    header = (told, "version", "answers moved", "columns that matter, in deviations")
    table = Table(*header, box=None, pad_edge=False, padding=(0, 2, 0, 2))
    for window in windows[:_WEEKS_TOLD]:
        moved = ", ".join(window.columns)
        table.add_row(f"{window.start:%Y-%m-%d}", window.version, f"{window.severity:.2f}", moved)
    console.print()
    console.print(table)


def _tell_fairness(console: Console, week: FairWeek | None) -> None:
    """What one week's decisions did to groups, and how far apart these are."""
    if week is None:
        console.print("\n  no week has enough outcomes to compare groups of applicants", markup=False)
        return
    said = f"Decided for groups of applicants in the week from {week.begins}, by version {week.version}"
    header = ("group", "applications", "approved", "of those who repay", "of those who do not")
    groups, between = (Table(*each, box=None, pad_edge=False, padding=(0, 2, 0, 2)) for each in (header, ("", "")))
    between.show_header = False
    for group in week.groups:
        groups.add_row(*group)
    for disparity in week.disparities:
        between.add_row(*disparity)
    console.print(f"\n  {said}", markup=False)
    console.print(groups)
    console.print("\n  greatest difference between groups (0: none; in brackets what holds with 95 %)", markup=False)
    console.print(between)
    console.print("  What these say, and when they exclude each other: docs/fairness.md", markup=False)


def _ask(console: Console, paths: Paths) -> None:
    """Asks about one rejected application."""
    rejection = find_rejection(ModelStore(str(paths.store), MODEL), paths.out / "audit")
    console.print("\n[bold]The model rejected a loan application. After the lawsuit:[/bold]")
    asked = Asked(("--job", str(JOB), *paths.settings()), paths.store / MODEL, paths.out)
    for answer in answers(rejection, asked):
        console.print(f"\n[bold]{answer.question}[/bold]")
        console.print(f"  → .venv/bin/halflife {shlex.join(answer.command)}", markup=False, soft_wrap=True)
        for line in answer.lines:
            console.print(f"  {line}" if line else "", markup=False, soft_wrap=True)
    console.print(f"\nThe page that a lawyer gets: {paths.out}/decision.html. More: docs/loans.md", markup=False)


if __name__ == "__main__":
    sys.exit(main())
