"""The labels of the scenario, which come late, and what is measured by them: the same on every runner."""

import json
import zlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from schemas.times import parse_time_us
from tests.conformance.scenario import Scenario
from tests.transforms.beam import flights

PANES = 5
HORIZON = timedelta(hours=4)
LABELS = {"event_id": "of", "event_time": "known", "column": "late_by", "positive": "> 15", "format": "json",
          "horizon": "4h",
          # So small blocks and so low a threshold that detectors see changes in the scenario's two days.
          "concept_drift": {"detectors": ["adwin", "page_hinkley"], "parts": 24, "block": 3, "adwin_delta": 0.9,
                            "page_hinkley_delta": 0.1, "page_hinkley_threshold": 1}}  # fmt: skip
DRIFT = {"window": "1h", "allowed_lateness": "1h", "segments": ["origin"]}
_OF_RUN = {"run", "pane"}
_KEY = ("window_start", "version", "role", "against", "segment", "metric")
_OF_CLOCK = "latency_difference"


def labels_of(scenario: Scenario) -> list[dict[str, Any]]:
    """A label of most events, in order of the time when it was known: up to three hours after its event, of a few an
    hour beyond the horizon; of some two, of others a second one that contradicts the first."""
    found = []
    for row in scenario.rows:
        drawn = zlib.crc32(row["id"].encode()) % 1000
        late_by, after = (row["dep_delay"] or 0.0) + drawn % 20 - 8, timedelta(minutes=1 + drawn % 180)
        if drawn >= 950:
            continue
        known = HORIZON + timedelta(hours=1) if drawn < 10 else after
        found.append({"of": row["id"], "known": row["departed_at"] + known, "late_by": late_by})
        if drawn >= 900:
            again = late_by if drawn < 925 else 100.0 - late_by
            found.append({"of": row["id"], "known": row["departed_at"] + after * 1.2, "late_by": again})
    return sorted(found, key=lambda label: (label["known"], label["of"]))


def the_end(scenario: Scenario) -> tuple[dict[str, Any], dict[str, Any]]:
    """An event two days after the others, and a label that is known then. The watermark of quality is the lesser of
    those of events and labels, and that of a silent topic stays at its last record, which for labels is before the last
    panes of the last windows are due: both topics must go on."""
    row = scenario.rows[-1]
    time = row["departed_at"] + timedelta(days=2)
    return {**row, "id": "the-end", "departed_at": time}, {"of": "the-end", "known": time, "late_by": 0.0}


def encoded(label: Mapping[str, Any]) -> bytes:
    """A label as a line of JSON."""
    return json.dumps(label, default=datetime.isoformat).encode()


def with_labels(scenario: Scenario, uri: str) -> Scenario:
    """The scenario whose job reads labels there."""
    return scenario._replace(document=scenario.document | {"labels": {"uri": uri, **LABELS}, "drift": DRIFT})


def labels_file(scenario: Scenario) -> str:
    """The labels in a file; returns its path."""
    path = scenario.folder / "labels.jsonl"
    path.write_bytes(b"\n".join(map(encoded, labels_of(scenario))) + b"\n")
    return str(path)


def measured(records: Iterable[Mapping[str, Any]]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The last pane of each record without what differs from run to run, by its window, version, pair, segment and
    metric; times in microseconds."""
    found: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for record in records:
        plain = {name: _plain(value) for name, value in record.items()}
        key = tuple(plain[name] for name in _KEY)
        if key not in found or found[key]["pane"] <= plain["pane"]:
            found[key] = plain
    kept = {key: record for key, record in found.items() if record["metric"] != _OF_CLOCK}
    return {key: {name: value for name, value in one.items() if name not in _OF_RUN} for key, one in kept.items()}


def changes(records: Mapping[Any, dict[str, Any]]) -> list[dict[str, Any]]:
    """Of what was measured the records of detectors of changes."""
    return [one for one in records.values() if one["metric"].startswith("change_")]


def whole_keys(records: Iterable[Mapping[str, Any]]) -> set[tuple[Any, ...]]:
    """The keys of `measured` whose last pane is there."""
    return {tuple(_plain(one[name]) for name in _KEY) for one in records if one["pane"] >= PANES - 1}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return parse_time_us(value.isoformat())
    return parse_time_us(value) if isinstance(value, str) and value[4:5] == "-" and value.endswith("Z") else value


def measured_on_direct(scenario: Scenario) -> dict[tuple[Any, ...], dict[str, Any]]:
    """What the run of `runs.on_direct` measured."""
    return measured(flights.records(scenario.folder / "direct" / "quality"))


def letters_on_direct(scenario: Scenario) -> list[str]:
    """The events of the labels that came beyond the horizon, of that run."""
    return sorted(str(letter["event_id"]) for letter in flights.records(scenario.folder / "direct" / "dead_letters"))
