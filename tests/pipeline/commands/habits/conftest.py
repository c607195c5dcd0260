"""One store and one small job for all tests of this folder."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.pipeline.commands.commands import Models
from tests.pipeline.jobs.flows import MANIFEST


class Small(NamedTuple):
    """A job of 40 events; its model has the versions v1 (released) and v2."""

    job: Path
    models: Models

    @property
    def location(self) -> tuple[str, ...]:
        return "--store", self.models.url, "--model", self.models.model


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    root = tmp_path_factory.mktemp("small")
    models = Models(str(root / "store"), "trips")
    (root / "payload").mkdir()
    for version in ("v1", "v2"):
        models.store.publish(root / "payload", {**MANIFEST, "version": version})
    models.store.append_release(champion="v1", effective_from_us=0, by="tests")
    started = datetime(2026, 1, 1, tzinfo=UTC)
    events = [{"id": f"e{n}", "at": (started + timedelta(seconds=n)).isoformat(), "delay": n / 2} for n in range(40)]
    (root / "events.json").write_text("".join(json.dumps(event) + "\n" for event in events))
    spec = {
        "job": "trips",
        "events": {"uri": str(root / "events.json"), "format": "json", "event_id": "id", "event_time": "at"},
        "features": ["delay"],
        "model": {"name": "trips", "store": models.url},
        "sinks": {name: str(root / name) for name in ("scores", "audit", "dead_letters")},
    }
    (root / "job.yaml").write_text(yaml.safe_dump(spec))
    return Small(root / "job.yaml", models)
