"""The demo prepares a year of flights, trains and releases three versions, and scores the year with the job.

`make demo` runs it. What exists already is reused: a second run only scores.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from examples.flights import findings
from examples.flights.plan import MODEL
from examples.flights.prepare import prepare
from examples.flights.records import UnexpectedData
from examples.packages import SourceUnavailable
from examples.steps import StepFailed, call, console_of, step


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the demo keeps its files; the defaults are those of the embedded job. `small` means five days only."""

    data: Path = Path("data")
    store: Path = Path("data/models")
    out: Path = Path("out")
    small: bool = False

    @property
    def summary(self) -> Path:
        """The counts of the run."""
        return self.out / "summary.json"

    def settings(self) -> list[str]:
        """The embedded job's arguments for these paths; none for the default ones."""
        if self == Paths():
            return []
        values = {"events.uri": f"{self.data}/departures-*.avro", "labels.uri": f"{self.data}/arrivals-*.avro"}
        values |= {"model.store": str(self.store)}
        sinks = ("scores", "audit", "drift", "quality", "dead_letters")
        values |= {f"sinks.{name}": f"{self.out}/{name}" for name in sinks}
        return [argument for path, value in values.items() for argument in ("--set", f"{path}={value}")]


def main(paths: Paths | None = None) -> int:
    """Runs the demo from the root of a checkout; 0 done, 1 failed."""
    console = console_of()
    try:
        _run(console, paths or Paths())
    except (SourceUnavailable, UnexpectedData, StepFailed, OSError) as problem:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"error: {problem}", markup=False)
        return 1
    return 0


def _run(console: Console, paths: Paths) -> None:
    console.print("[bold]Halflife: a year of flights from New York, scored by models that change on the way[/bold]")
    with step(console, "departures as events, arrivals as labels"):
        flights = prepare(paths.data, small=paths.small)
    with step(console, "three versions trained on the job's own features, published and released"):
        small = ["--small"] if paths.small else []
        trained = call("examples.flights.train", "--data", str(paths.data), "--store", str(paths.store), *small)
    console.print("".join(f"    {line}\n" for line in trained.splitlines()), end="", markup=False)
    with step(console, "the year scored: python -m pipeline"):
        paths.out.mkdir(parents=True, exist_ok=True)
        call("pipeline", "--summary", str(paths.summary), *paths.settings())
    summary = json.loads(paths.summary.read_text(encoding="utf-8"))
    events = findings.model_events(paths.out, summary["run"])
    for table in _tables(paths, flights, summary, events):
        console.print()
        console.print(table)
    for refusal in findings.refusals(events):
        console.print(f"\n  {refusal}", markup=False)
    _closing(console, paths)


def _tables(
    paths: Paths, flights: dict[str, Any], summary: dict[str, Any], events: list[Mapping[str, Any]]
) -> list[Table]:
    drift = findings.drift(paths.out, summary["run"])
    return [
        _counts(flights["counts"], summary),
        _table(
            ("release", "from", "champion", "also", "events", "outcome"),
            findings.releases(paths.store, summary, events),
        ),
        _table(("version", "role", "scored"), findings.by_version(summary)),
        _table(
            (f"worst of {drift.moved} days", "version", "answers moved", f"{drift.drifted} drifted", "columns moved"),
            drift.rows,
        ),
    ]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(*header, box=None, pad_edge=False, padding=(0, 2, 0, 2), title_justify="left")
    for row in rows:
        table.add_row(*row)
    return table


def _counts(flights: dict[str, int], summary: dict[str, Any]) -> Table:
    letters = sum(summary["dead_letters"].values())
    timing = summary["timing"]
    rows = [
        ("scheduled", f"{flights['scheduled']:,}", ""),
        ("− cancelled", f"{flights['cancelled']:,}", "never departed: no event"),
        ("departed", f"{flights['departed']:,}", f"{flights['labelled']:,} have an arrival delay; the other"),
        ("", "", f"{flights['unlabelled']:,} were diverted or have no arrival: scored, never labelled"),
        ("scored", f"{summary['scored']:,}", f"{letters:,} dead letters; {summary['receipts']:,} receipts"),
        ("events/s", f"{timing['steady_events_per_second']:,.0f}", "once started"),
        ("seconds", f"{summary['seconds']:.0f}", f"{timing['startup_seconds']:.0f} of them starting: imports, models"),
    ]
    table = Table("flights", "", "", box=None, pad_edge=False, padding=(0, 2, 0, 2))
    table.columns[1].justify = "right"
    for row in rows:
        table.add_row(*row)
    return table


def _closing(console: Console, paths: Paths) -> None:
    here = ".venv/bin/"
    model, out = f"--store {paths.store} --model {MODEL}", paths.out
    console.print(
        f"\nWritten: {out}/scores, {out}/audit (receipts, models), {out}/drift, {out}/quality,"
        f" {out}/dead_letters; counts in {paths.summary}"
        "\n\nTry next:"
        f"\n  {here}halflife models timeline {model}"
        f"\n  {here}halflife models show 3 {model}"
        f'\n  {here}halflife models release --champion 2 --from 2013-12-01T05:00:00Z --reason "go back" {model}'
        f"\n  {here}python -m pipeline --summary s.json     # scores change from 1 December on, and only there"
        f"\n  {here}python -m pipeline --set drift.window=7d --set sinks.drift=out/weekly     # weather evens out",
        markup=False,
        soft_wrap=True,
    )


if __name__ == "__main__":
    sys.exit(main())
