"""A small whole job to throw bad input at: made-up trips, a linear model in a real store, outputs read back."""

import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fastavro
import pytest
import yaml

from models.store.store import ModelStore
from pipeline.run import run

SECOND_US = 1_000_000
START_US = 1_356_998_400 * SECOND_US  # 2013-01-01T00:00:00Z
COLUMNS = {"delay": "number", "distance": "integer", "carrier": "string"}
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Trip",
    "fields": [
        {"name": "id", "type": ["null", "string"]},
        {"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]},
        {"name": "delay", "type": ["null", "double"]},
        {"name": "distance", "type": ["null", "long"]},
        {"name": "carrier", "type": ["null", "string"]},
    ],
}
MANIFEST: dict[str, Any] = {
    "scorer": "linear",
    "version": "v1",
    "inputs": [{"name": "delay", "type": "number", "nullable": True, "default": 0.0}],
    "output": {"kind": "probability"},
    "linear": {"intercept": -1.0, "coefficients": {"delay": 0.1}, "means": {}, "scales": {}, "categories": {}},
    "training": {"trained_at": "2012-12-01T00:00:00Z"},
    "created_by": "tests",
}


def trip(number: int, **changes: Any) -> dict[str, Any]:
    """The trip of that number, a minute after the one before."""
    at = START_US + number * 60 * SECOND_US
    whole = {"id": f"t{number}", "at": at, "delay": number / 2, "distance": 100 + number, "carrier": "AB"[number % 2]}
    return {**whole, **changes}


def trips(count: int, first: int = 0) -> list[dict[str, Any]]:
    """So many trips in order of time."""
    return [trip(number) for number in range(first, first + count)]


def json_lines(records: Iterable[Any]) -> bytes:
    """The records as JSON lines."""
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def container(records: Sequence[Any], schema: Any = None, codec: str = "deflate", per_block: int = 10) -> bytes:
    """The records as an Avro container file with so many records a block."""
    stream = io.BytesIO()
    parsed = fastavro.parse_schema(schema or SCHEMA)
    writer = fastavro.write.Writer(stream, parsed, codec, sync_marker=b"0123456789abcdef")
    for start in range(0, len(records), per_block):
        for record in records[start : start + per_block]:
            writer.write(record)
        writer.dump()
    return stream.getvalue()


def read_avro(folder: Path) -> list[dict[str, Any]]:
    """All records of a sink."""
    found: list[dict[str, Any]] = []
    for path in sorted(folder.rglob("*.avro")):
        with path.open("rb") as stream:
            found += list(fastavro.reader(stream))  # type: ignore[arg-type]  # our files hold records
    return found


@dataclass
class Outcome:
    """The results of a run: its exit code, its output, and its summary (empty where it wrote none)."""

    code: int
    out: str
    err: str
    summary: dict[str, Any] = field(default_factory=dict)


@dataclass
class Flow:
    """A job in a folder of its own."""

    root: Path
    capsys: pytest.CaptureFixture[str]

    @property
    def store(self) -> ModelStore:
        return ModelStore(str(self.root / "store"), "trips")

    def publish(self, version: str = "v1", intercept: float = -1.0, from_us: int = 0) -> None:
        """A version that is released from then on."""
        linear = {**MANIFEST["linear"], "intercept": intercept}
        (self.root / "payload").mkdir(exist_ok=True)
        self.store.publish(self.root / "payload", {**MANIFEST, "version": version, "linear": linear})
        self.store.append_release(champion=version, effective_from_us=from_us, by="tests")

    def spec(self, format_name: str = "json", **events: Any) -> dict[str, Any]:
        """A valid job over this folder's input."""
        given = {"uri": str(self.root / "in*"), "format": format_name, "event_id": "id", "event_time": "at", **events}
        count = {"name": "n", "key": "carrier", "aggregate": "count", "size": "1h", "every": "5m"}
        return {
            "job": "trips",
            "events": given,
            "features": ["delay", "distance", count],
            "model": {"name": "trips", "store": str(self.root / "store")},
            "sinks": {name: str(self.root / name) for name in ("scores", "audit", "drift", "dead_letters")},
        }

    def write_spec(self, spec: Any) -> Path:
        path = self.root / "job.yaml"
        path.write_text(spec if isinstance(spec, str) else yaml.safe_dump(spec))
        return path

    def run(self, spec: Any, *arguments: str, verb: Callable[[Sequence[str]], int] = run) -> Outcome:
        """Runs the spec through the command line, in this process."""
        summary = self.root / "summary.json"
        summary.unlink(missing_ok=True)
        wanted = ["--summary", str(summary)] if verb is run else []
        self.capsys.readouterr()
        try:
            code = verb(["--job", str(self.write_spec(spec)), *wanted, *arguments])
        except SystemExit as usage:
            code = int(usage.code or 0)
        said = self.capsys.readouterr()
        return Outcome(code, said.out, said.err, json.loads(summary.read_text()) if summary.exists() else {})

    def letters(self) -> list[dict[str, Any]]:
        return read_avro(self.root / "dead_letters")

    def feed(self, content: bytes, name: str = "in.0") -> None:
        (self.root / name).write_bytes(content)


def said_nothing_of_python(outcome: Outcome) -> bool:
    """One line on standard error, none of them a traceback's."""
    return "Traceback" not in outcome.err and len(outcome.err.strip().splitlines()) == 1
