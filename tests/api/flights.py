"""Events that a job and the public functions both score: flights, some of them with values that do not fit."""

from pathlib import Path
from typing import Any

from models.store.store import ModelStore
from tests.models import bundle_folders as bundles
from tests.pipeline.jobs.flows import SECOND_US, START_US, container

MODEL = "late"
_KINDS: dict[str, Any] = {
    "id": "string",
    "at": {"type": "long", "logicalType": "timestamp-micros"},
    "delay": ["null", "double", "string"],
    "distance": ["null", "long", "string"],
    "weekend": ["null", "boolean"],
    "carrier": ["null", "string"],
}
SCHEMA = {"type": "record", "name": "Flight", "fields": [{"name": n, "type": t} for n, t in _KINDS.items()]}
BAD: list[dict[str, Any]] = [
    {"delay": None},  # has a default
    {"distance": None},
    {"carrier": None, "weekend": None},
    {"delay": "soon"},
    {"delay": float("inf")},
    {"distance": "far"},
    {"carrier": "never seen"},
]


def events(good: int = 40) -> list[dict[str, Any]]:
    """Good flights, and one for each entry of `BAD` with that value."""
    rows = bundles.flights(good + len(BAD)).to_pylist()
    times = [{"id": f"f{i}", "at": START_US + i * 60 * SECOND_US} for i in range(len(rows))]
    changes = [*[{}] * good, *BAD]
    return [{**time, **row, **change} for time, row, change in zip(times, rows, changes, strict=True)]


def spec(root: Path, **model: Any) -> dict[str, Any]:
    """A job over these events as a mapping; its input is written."""
    (root / "in.avro").write_bytes(container(events(), SCHEMA))
    identity = {"uri": str(root / "in.avro"), "format": "avro", "event_id": "id", "event_time": "at"}
    return {
        "job": "flights",
        "events": {**identity, "columns": dict(bundles.COLUMNS)},
        "features": list(bundles.COLUMNS),
        "model": {"name": MODEL, "store": str(root / "store"), **model},
        "sinks": {name: str(root / name) for name in ("scores", "audit", "dead_letters")},
    }


def publish(root: Path, version: str, payload: Path, manifest: dict[str, Any]) -> ModelStore:
    """A version in the store of that folder."""
    store = ModelStore(str(root / "store"), MODEL)
    payload.mkdir(parents=True, exist_ok=True)
    store.publish(payload, {**manifest, "version": version})
    return store
