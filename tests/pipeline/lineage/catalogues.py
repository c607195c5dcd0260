"""Jobs that tell a catalogue their lineage, and a server that takes it."""

import contextlib
import http.server
import io
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from models.store.store import ModelStore
from pipeline.run import run

Verb = Callable[[list[str]], int]


class Answer(NamedTuple):
    """What a run gave: exit code, what it printed to standard error, seconds."""

    code: int
    err: str
    seconds: float


class Job(NamedTuple):
    """A job in a folder of its own."""

    root: Path

    @property
    def store(self) -> ModelStore:
        return ModelStore(str(self.root / "store"), "trips")

    def spec(self, uri: str, **sections: Any) -> dict[str, Any]:
        return {
            "job": "trips",
            "events": {"uri": str(self.root / "in*"), "format": "json", "event_id": "id", "event_time": "at"},
            "features": ["delay"],
            "model": {"name": "trips", "store": str(self.root / "store")},
            "sinks": {"scores": str(self.root / "scores"), "audit": str(self.root / "audit")},
            "openlineage": {"uri": uri, "namespace": "tests"},
            **sections,
        }

    def run(self, uri: str, *words: str, verb: Verb = run, **sections: Any) -> Answer:
        """Runs it, or another verb of it, in this process, telling its lineage there."""
        path = self.root / "job.yaml"
        path.write_text(yaml.safe_dump(self.spec(uri, **sections)))
        said, began = io.StringIO(), time.monotonic()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            try:
                code = verb(["--job", str(path), *words])
            except SystemExit as usage:
                code = int(usage.code or 0)
        return Answer(code, said.getvalue(), time.monotonic() - began)


class _Catalogue(http.server.BaseHTTPRequestHandler):
    taken: queue.Queue[tuple[str, str | None, dict[str, Any]]]
    code = 201

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.taken.put((self.path, self.headers.get("Authorization"), body))
        self.send_response(self.code)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextlib.contextmanager
def catalogue(code: int = 201) -> Iterator[tuple[str, Any]]:
    """A server of OpenLineage on loopback, and what it takes: path, authorization, event."""
    kind = type("Catalogue", (_Catalogue,), {"taken": queue.Queue(), "code": code})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", kind.taken  # type: ignore[attr-defined]
        server.shutdown()


def names(found: list[dict[str, Any]]) -> dict[str, str]:
    """What each data set is used for, by namespace and name."""
    return {f"{each['namespace']} {each['name']}": each["facets"]["datasetType"]["subType"] for each in found}


def model_facets(event: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What is said of the versions, by their names."""
    models = [each for each in event["inputs"] if each["facets"]["datasetType"]["datasetType"] == "MODEL"]
    return {each["facets"]["halflife_model"]["version"]: each["facets"]["halflife_model"] for each in models}
