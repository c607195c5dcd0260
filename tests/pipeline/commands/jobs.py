"""A small job in a folder with a good version in its store, for the doctor to look at."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from models.store.store import ModelStore
from tests.models import broken
from tests.models.bundle_folders import COLUMNS
from tests.pipeline.commands.commands import Ran, halflife

EVENT = {"id": "e1", "t": "2013-01-01T00:00:00Z", "delay": 1.5, "distance": 100, "weekend": True, "carrier": "AA"}


class Patient(NamedTuple):
    """The job of a folder; `examined` runs the doctor on it."""

    folder: Path

    @property
    def store(self) -> ModelStore:
        return ModelStore(str(self.folder / "store"), "late")

    @property
    def version(self) -> Path:
        """Where the files of the published version lie."""
        return self.folder / "store" / "late" / "versions" / "v1"

    def feed(self, count: int = 100) -> None:
        """Events as JSON lines."""
        lines = [json.dumps({**EVENT, "id": f"e{number}"}) + "\n" for number in range(count)]
        (self.folder / "events.json").write_text("".join(lines))

    def publish(self, build: Callable[[Path], None] = broken.good, release: bool = True) -> None:
        """Publish a bundle as v1, and release it."""
        build(self.folder / "bundle")
        self.store.publish_bundle(self.folder / "bundle")
        if release:
            self.store.append_release(champion="v1", effective_from_us=0, by="tests")

    def spec(self) -> dict[str, Any]:
        """A valid job."""
        return {
            "job": "late",
            "events": {"uri": str(self.folder / "events.json"), "format": "json", "event_id": "id", "event_time": "t",
                       "columns": COLUMNS},
            "features": list(COLUMNS),
            "model": {"name": "late", "store": str(self.folder / "store")},
            "sinks": {name: str(self.folder / "out" / name) for name in ("scores", "audit", "drift", "dead_letters")},
        }  # fmt: skip

    def words(self, runner: str, *words: str) -> list[str]:
        """The command line."""
        path = self.folder / "job.yaml"
        path.write_text(yaml.safe_dump(self.spec()))
        return ["doctor", "--runner", runner, "--job", str(path), *words]

    def run(self, *words: str) -> int:
        """Runs the job itself; returns the exit code."""
        path = self.folder / "job.yaml"
        path.write_text(yaml.safe_dump(self.spec()))
        return halflife("run", "--job", path, *words).code

    def examined(self, *words: str, runner: str = "direct") -> "Examined":
        """What the doctor says, as JSON."""
        ran = halflife(*self.words(runner, *words), "--json")
        assert ran.err == "", ran
        return Examined(ran, {each["check"]: each for each in ran.json["checks"]})


class Examined(NamedTuple):
    """The doctor's report: the exit code and output, and the last finding of each check."""

    ran: Ran
    checks: Mapping[str, Any]

    def verdict(self, check: str) -> str:
        return str(self.checks[check]["verdict"])

    def said(self, check: str) -> str:
        """What was found and what to change."""
        return f"{self.checks[check]['found']}; {self.checks[check]['change']}"

    def bad(self) -> dict[str, str]:
        """The checks that are not ok, with their verdicts."""
        return {name: each["verdict"] for name, each in self.checks.items() if each["verdict"] != "ok"}
