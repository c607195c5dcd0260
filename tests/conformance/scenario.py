"""The scenario as files: events, a store with its timeline, a job spec; and what counts as equal answers."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import yaml

from models.releases.release import Challenger
from models.store.store import ModelStore
from schemas.times import parse_time_us
from tests.transforms.beam import streams

SCENARIO = Path(__file__).with_name("scenario.yaml")
ROOT = SCENARIO.parents[2]
_KINDS = {"count": "integer", "distinct": "integer", "top": "string"}


class Answer(NamedTuple):
    """What must be equal on all runners: `features` is the SHA-256 of what the scorer read, as JSON with sorted
    names."""

    score_id: str
    score: float
    version: str
    role: str
    features: str


class Scenario(NamedTuple):
    """The scenario in a folder: events (`rows`, in order of time), the job's document without source and sinks, and
    the champion of each release in their order."""

    folder: Path
    schema: Any
    rows: list[dict[str, Any]]
    document: dict[str, Any]
    releases: list[str]

    def spec(self, name: str, uri: str, sinks: Mapping[str, str | list[str]], **events: Any) -> Path:
        """Writes the job spec for one run; `events` are further entries of its events section."""
        document = self.document | {"sinks": dict(sinks)}
        document["events"] = self.document["events"] | {"uri": uri, **events}
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path


def unfold(folder: Path) -> Scenario:
    """Writes the scenario's events and store into the folder."""
    told = yaml.safe_load(SCENARIO.read_text(encoding="utf-8"))
    with (ROOT / told["events"]["file"]).open("rb") as stream:
        reader = fastavro.reader(stream)
        schema, rows = reader.writer_schema, [row for row in reader if isinstance(row, dict)]
    rows = sorted(rows, key=lambda row: (row["departed_at"], row["id"]))[: told["events"]["first"]]
    streams.write_avro(folder / "events.avro", schema, rows, per_block=100)
    document = told["job"]
    document["model"]["store"] = f"file://{folder}/models"
    store = ModelStore(document["model"]["store"], document["model"]["name"])
    for version, terms in told["versions"].items():
        _publish(store, version, terms, folder / "drafts" / version)
    for release in told["releases"]:
        _release(store, **release)
    return Scenario(folder, schema, rows, document, [release["champion"] for release in told["releases"]])


def _publish(store: ModelStore, version: str, terms: dict[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True)
    names = [*terms["coefficients"], *terms["categories"]]
    types = [_KINDS.get(name.split("_")[-1], "number") for name in names]
    inputs = [{"name": name, "type": kind, "nullable": True} for name, kind in zip(names, types, strict=True)]
    linear = terms | {"means": dict.fromkeys(terms["coefficients"], 0.0)}  # what a number that is null counts as
    manifest = {"version": version, "scorer": "linear", "linear": linear, "inputs": inputs}
    manifest |= {"output": {"kind": "probability"}, "training": {"trained_at": "2012-12-01T00:00:00Z"}}
    store.publish(folder, manifest | {"created_by": "tests"})


def _release(
    store: ModelStore,
    champion: str,
    effective_from: str,
    challengers: Mapping[str, float] | None = None,
    shadows: Iterable[str] = (),
    split_on: str = "event_id",
) -> None:
    entries = tuple(Challenger(version, share) for version, share in (challengers or {}).items())
    at_us = parse_time_us(effective_from)
    store.append_release(
        champion=champion, effective_from_us=at_us, by="tests", challengers=entries, shadows=tuple(shadows),
        split_on=split_on, salt="conformance",
    )  # fmt: skip


def answers_of(receipts: Iterable[Mapping[str, Any]]) -> set[Answer]:
    """What receipts contain, without what differs from run to run."""
    return {
        Answer(one["score_id"], one["score"], one["version"], one["role"], _digest(one["features"])) for one in receipts
    }


def _digest(features: Mapping[str, Any] | list[tuple[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(dict(features), sort_keys=True).encode()).hexdigest()
