"""A job whose champion has worn, by records of quality and receipts that are written by hand."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from audit.files.audit import Audit
from gates.records import QualityRow
from models.store.store import ModelStore
from schemas.avro.files import AvroFileWriter
from schemas.records import arrow_schema, avsc
from tests.audit import containers
from tests.gates.written import DAY_US, FIRST_US, write
from tests.models import broken
from tests.models.bundle_folders import COLUMNS
from tests.pipeline.commands.commands import Ran, halflife
from tests.pipeline.commands.jobs import EVENT

RETRAINING: dict[str, Any] = {"price": 100, "value": 0.1, "unit": "EUR"}
SCORES_A_DAY = 5


class AdvisedJob:
    """A job with the champion v1; of each day it has five receipts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "events.json").write_text(json.dumps({**EVENT, "id": "e1"}) + "\n")
        self.publish("v1")
        self.store.append_release(champion="v1", effective_from_us=0, by="ann")
        sinks = {name: str(folder / name) for name in ("scores", "audit", "quality", "drift")}
        self.stated: dict[str, Any] = {
            "job": "late",
            "events": {"uri": str(folder / "events.json"), "format": "json", "event_id": "id", "event_time": "t",
                       "columns": COLUMNS},
            "features": list(COLUMNS),
            "model": {"name": "late", "store": str(folder / "store")},
            "labels": {"uri": str(folder / "events.json"), "format": "json", "event_id": "id", "event_time": "t",
                       "column": "x"},
            "retraining": dict(RETRAINING),
            "sinks": sinks,
        }  # fmt: skip

    @property
    def store(self) -> ModelStore:
        return ModelStore(str(self.folder / "store"), "late")

    def publish(self, version: str, **training: Any) -> None:
        broken.good(self.folder / version)
        manifest = self.folder / version / "manifest.json"
        document = json.loads(manifest.read_text())
        document |= {"version": version, "training": {**document.get("training", {}), **training}}
        manifest.write_text(json.dumps(document))
        self.store.publish_bundle(self.folder / version)

    def measure(self, rows: Sequence[QualityRow], name: str = "quality-0.avro") -> None:
        write(self.folder / "quality", rows, name)

    def receive(self, days: Iterable[int], name: str = "receipts-0.avro") -> None:
        rows = [
            containers.receipt(
                day * SCORES_A_DAY + number, model="late", event_time=FIRST_US + day * DAY_US + number * 1_000_000
            )
            for day in days
            for number in range(SCORES_A_DAY)
        ]
        containers.write(self.folder / "audit" / "receipts" / name, rows)

    def drift(self, *days: int, drifted: bool = True) -> None:
        schema = arrow_schema("DriftStatistic")
        rows = [_drift(day, drifted) for day in days]
        columns = [pa.array([each.get(field.name) for each in rows], field.type) for field in schema]
        (self.folder / "drift").mkdir(exist_ok=True)
        with (self.folder / "drift" / f"drift-{days[0]}.avro").open("wb") as stream:
            AvroFileWriter(stream, avsc("DriftStatistic")).write(pa.RecordBatch.from_arrays(columns, schema=schema))

    def __call__(self, *words: object) -> Ran:
        return halflife("advise", "--job", self.file(), *words)

    def file(self) -> Path:
        job = self.folder / "job.yaml"
        job.write_text(yaml.safe_dump(self.stated))
        return job

    def events(self, kind: str) -> list[dict[str, Any]]:
        found = sorted(Audit(str(self.folder / "audit")).model_events(), key=lambda each: each["at"])
        return [{**each, "evidence": json.loads(each["evidence"])} for each in found if each["kind"] == kind]


def _drift(day: int, drifted: bool) -> dict[str, Any]:
    start = FIRST_US + day * DAY_US
    return {
        "window_start": start, "window_end": start + DAY_US, "pane": 0, "model": "late", "version": "v1",
        "role": "champion", "column": "x", "statistic": "psi", "value": 0.5, "threshold": 0.2, "noise_floor": 0.1,
        "n": 1000, "reference_n": 1000, "drifted": drifted, "effect": 0.7,
    }  # fmt: skip
