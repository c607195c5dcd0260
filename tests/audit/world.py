"""A job over real flights: two versions, a shadow, a challenger, a refused release, late events, and what it wrote."""

import csv
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import pyarrow as pa
import yaml

from models.profiles import build_profile, serialise_profile
from models.releases.release import Challenger
from models.store.store import ModelStore
from pipeline.command_line.options import parse_run_options
from pipeline.run import execute, prepare
from schemas.times import parse_time_us

ROOT = Path(__file__).parents[2]
EVENTS = ROOT / "tests" / "data" / "flights" / "departures-2013-01.avro"
TRAINED_ON = 40
_INPUTS: list[dict[str, Any]] = [
    {"name": "dep_delay", "type": "number", "nullable": True},
    {"name": "flight", "type": "integer"},
    {"name": "carrier", "type": "string", "nullable": True},
    {"name": "origin_delay", "type": "number", "nullable": True},
]
_CARRIERS = {"UA": 0.3, "B6": -0.2, "DL": 0.1}
_WEIGHTS = {
    "v1": {"dep_delay": 0.08, "flight": 0.0001, "origin_delay": 0.01},
    "v2": {"dep_delay": 0.05, "flight": 0.0002, "origin_delay": 0.03},
}
RELEASES: list[dict[str, Any]] = [
    {"champion": "v1", "from": "2013-01-01T10:00:00Z", "reason": "first"},
    {"champion": "v1", "from": "2013-01-02T12:00:00Z", "shadows": ("v2",), "reason": "watch v2"},
    {"champion": "v1", "from": "2013-01-03T12:00:00Z", "challengers": (Challenger("v2", 0.3),), "reason": "try v2"},
    {"champion": "v9", "from": "2013-01-04T00:00:00Z", "reason": "a mistake"},
    {"champion": "v2", "from": "2013-01-04T12:00:00Z", "reason": "v2 is better", "evidence": "test of 3 January"},
]


class FlightsAudit(NamedTuple):
    """The job's file, its folder, and its records as fastavro reads them."""

    job: Path
    folder: Path
    receipts: list[dict[str, Any]]
    events: list[dict[str, Any]]
    model_events: list[dict[str, Any]]

    @property
    def audit(self) -> Path:
        return self.folder / "audit"

    @property
    def store(self) -> ModelStore:
        return ModelStore(str(self.folder / "store"), "delays")


def flights() -> list[dict[str, Any]]:
    """The first flights of January 2013 as they departed."""
    with EVENTS.open("rb") as stream:
        return [row for row in fastavro.reader(stream) if isinstance(row, dict)]


def ran(folder: Path) -> FlightsAudit:
    """Runs the job over all the flights, out of order."""
    rows = flights()
    with EVENTS.open("rb") as stream:
        schema: Any = fastavro.reader(stream).writer_schema
    shuffled = rows[200:] + rows[:200]  # the first ones come last, and late
    with (folder / "events.avro").open("wb") as stream:
        fastavro.writer(stream, schema, shuffled)
    _publish(ModelStore(str(folder / "store"), "delays"), folder, rows)
    job = folder / "job.yaml"
    job.write_text(yaml.safe_dump(_spec(folder)), encoding="utf-8")
    execute(prepare(parse_run_options(["--job", str(job)], "tests")), [], time.time())
    audit = folder / "audit"
    return FlightsAudit(job, folder, list(records(audit / "receipts")), rows, list(records(audit / "models")))


def records(folder: Path) -> Iterator[dict[str, Any]]:
    """All records of the Avro files in a folder."""
    for path in sorted(folder.glob("*.avro")):
        with path.open("rb") as stream:
            yield from (row for row in fastavro.reader(stream) if isinstance(row, dict))


def _spec(folder: Path) -> dict[str, Any]:
    mean = {"name": "origin_delay", "key": "origin", "column": "dep_delay", "aggregate": "mean", "size": "1h"}
    return {
        "job": "flights",
        "events": {
            "uri": str(folder / "events.avro"), "format": "avro", "event_id": "id", "event_time": "departed_at",
            "subject": "tailnum", "max_out_of_orderness": "1m",
        },
        "features": ["dep_delay", "flight", "carrier", mean | {"every": "15m"}],
        "model": {"name": "delays", "store": str(folder / "store")},
        "sinks": {name: str(folder / name) for name in ("scores", "audit", "dead_letters")},
    }  # fmt: skip


def _publish(store: ModelStore, folder: Path, rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist([{**row, "origin_delay": row["dep_delay"]} for row in rows])
    for version, weights in _WEIGHTS.items():
        payload = folder / "payload" / version
        payload.mkdir(parents=True)
        profile = build_profile(table, [each["name"] for each in _INPUTS])
        (payload / "profile.json").write_bytes(serialise_profile(profile))
        with (payload / "trained.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["event_id", "subject"])
            writer.writerows([row["id"], row["tailnum"]] for row in rows[:TRAINED_ON] if version == "v1")
        store.publish(payload, _manifest(version, weights))
    lacking = [*_INPUTS, {"name": "colour", "type": "number"}]
    empty = folder / "payload" / "v9"
    empty.mkdir()
    store.publish(empty, _manifest("v9", _WEIGHTS["v1"] | {"colour": 1.0}) | {"inputs": lacking, "profile": None} | {
        "training": {"trained_at": "2012-12-03T00:00:00Z"}})  # fmt: skip
    for release in RELEASES:
        said = {name: release[name] for name in ("challengers", "shadows", "evidence") if name in release}
        at_us = parse_time_us(release["from"])
        store.append_release(
            champion=release["champion"], effective_from_us=at_us, by="ann", reason=release["reason"], **said
        )


def _manifest(version: str, weights: dict[str, float]) -> dict[str, Any]:
    means = {"dep_delay": 10.0, "origin_delay": 10.0}
    linear = {"intercept": -1.0, "coefficients": weights, "means": means, "categories": {"carrier": _CARRIERS}}
    data = {"uri": "s3://somewhere/flights-2012.parquet", "sha256": "a" * 64, "rows": 1000}
    return {
        "version": version,
        "scorer": "linear",
        "format": 2,
        "linear": linear,
        "inputs": _INPUTS,
        "output": {"kind": "probability", "threshold": 0.5, "positive": "late"},
        "training": {
            "trained_at": "2012-12-01T00:00:00Z", "code": "git:abc", "data": [data], "records": "trained.csv",
            "hyperparameters": {"C": 1.0},
        },
        "quality": {"auc": 0.7},
        "profile": "profile.json",
        "reasons": {"dep_delay": {"code": "D1", "positive": "it left late", "negative": "it left early"}},
        "created_by": "bob",
    }  # fmt: skip


def evidence(event: dict[str, Any]) -> dict[str, Any]:
    """The details of a model event."""
    found: dict[str, Any] = json.loads(event["evidence"])
    return found
