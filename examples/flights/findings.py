"""What a run of the flights job wrote, read back for the demo's closing tables."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import pyarrow as pa

from examples.drift import statistics_of
from examples.flights.plan import MODEL
from models.releases.timeline import serving_order
from models.store.store import ModelStore
from pipeline.reporting.drifted_windows import windows_that_matter
from schemas.times import format_time_us

_MOST_NAMED = 30


def model_events(out: Path, run: str) -> list[Mapping[str, Any]]:
    """The model events of one run, oldest first."""
    found: list[Mapping[str, Any]] = []
    for path in sorted((out / "audit" / "models").glob(f"models-{run}-*.avro")):
        with path.open("rb") as stream:
            found.extend(record for record in fastavro.reader(stream) if isinstance(record, dict))
    return sorted(found, key=lambda event: event["at"])


ReleaseRow = tuple[str, str, str, str, str, str]


def releases(store: Path, summary: Mapping[str, Any], events: list[Mapping[str, Any]]) -> list[ReleaseRow]:
    """One row per release: sequence, from when, who answers, who else, events scored by it, admitted or why not."""
    refused = {event["release"]: event["reason"] for event in events if event["kind"] == "refused"}
    rows = []
    timeline = ModelStore(str(store), MODEL).releases()
    first = next((each for each in serving_order(timeline) if each.sequence not in refused), None)
    for release in timeline:
        also = [f"{one.version} answers {one.share:.0%}" for one in release.challengers]
        also += [f"{version} in the shadow" for version in release.shadows]
        also += ["scores earlier flights too"] if release is first else []
        scored = summary["releases"].get(str(release.sequence), 0)
        outcome = f"refused: {refused[release.sequence]}" if release.sequence in refused else "admitted"
        moment = format_time_us(release.effective_from_us)[:10]
        rows.append((str(release.sequence), moment, release.champion, ", ".join(also), f"{scored:,}", outcome))
    return rows


def refusals(events: list[Mapping[str, Any]]) -> list[str]:
    """A line for each refused release: which version of it failed which proof, and how."""
    return [
        f"release {event['release']} changed nothing: version {event['version']} is refused, {event['reason']}: "
        f"{json.loads(event['evidence'])['detail']}"
        for event in events
        if event["kind"] == "refused"
    ]


def by_version(summary: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """One row per version and role with its scores."""
    return [
        (version, role, f"{count:,}")
        for version, roles in sorted(summary["versions"].items())
        for role, count in sorted(roles.items())
    ]


class Days(NamedTuple):
    """The days whose answers moved most: day, version, how far the answers moved, whether a column drifted, and the
    columns that matter; how many there are in all, and on how many a column drifted."""

    rows: list[tuple[str, str, str, str, str]]
    moved: int
    drifted: int


def drift(out: Path, run: str) -> Days:
    """The days of a run that matter, at most 30 of them."""
    return days_of(statistics_of(out / "drift", run))


def days_of(statistics: pa.Table) -> Days:
    """The same of DriftStatistic records."""
    windows = windows_that_matter(statistics)
    worst = {window.start: window for window in reversed(windows)}
    days = sorted(worst.values(), key=lambda window: (-window.severity, window.start))
    rows = [
        (f"{day.start:%Y-%m-%d}", day.version, f"{day.severity:.2f}", "drifted" if day.drifted else "as training days",
         ", ".join(day.columns))
        for day in days
    ]  # fmt: skip
    return Days(rows[:_MOST_NAMED], len(rows), len({window.start for window in windows if window.drifted}))
