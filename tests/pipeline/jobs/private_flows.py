"""A job with `privacy` whose events, letters and labels have values that no other text has, to be looked for."""

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from models.privacy.identities import identity_of_subject
from models.privacy.key_store import KeyStore
from models.privacy.register import AskedBy
from models.scorers.linear import LinearScorer
from models.store.backends import Backend
from pipeline.verbs import main
from tests.pipeline.jobs.flows import MANIFEST, START_US, Flow, Outcome, json_lines, trip
from tests.pipeline.jobs.spelled import written

IDS = [f"EVENT-8Z2Y-{number}" for number in range(40)]
SUBJECTS = [f"PERSON-7Q1X-{number}" for number in range(5)]
HIDDEN = ["IBAN-9K3W-0", "IBAN-9K3W-1"]
DELAYS = [771234.5625 + number for number in range(40)]
DISTANCES = [880012345 + number for number in range(40)]
SINKS = ("scores", "audit", "drift", "dead_letters", "quality")
FAILING = 880012345 + 39
BROKEN = ["SLOW-5T6U", "CUTOFF-4R3E", "PERSON-ONCE-2W1Q", "LABEL-1E9D", "MAYBE-8C7B"]
ALL: list[str | int | float] = [*IDS, *SUBJECTS, *HIDDEN, *DELAYS, *DISTANCES, *BROKEN]
INPUTS = [
    *MANIFEST["inputs"],
    {"name": "distance", "type": "integer"},
    {"name": "iban", "type": "string"},
]
LINEAR = {
    "intercept": -2.0,
    "coefficients": {"delay": 1e-7, "distance": 1e-10},
    "categories": {"iban": {"x": 1.0}},
}


def event(number: int, **changes: Any) -> dict[str, Any]:
    own = {"id": IDS[number], "person": SUBJECTS[number % 5], "iban": HIDDEN[number % 2], "delay": DELAYS[number]}
    return trip(number, **{**own, "distance": DISTANCES[number], **changes})


EVENTS = [
    *(event(number) for number in range(40)),
    event(7),
    event(8, id="EVENT-8Z2Y-8", delay=BROKEN[0]),
    event(9, id="EVENT-8Z2Y-9", at=None, person=BROKEN[2]),
]


def spec_of(flow: Flow, private: bool) -> dict[str, Any]:
    spec = flow.spec(subject="person")
    own = {"features": [*spec["features"], "iban"], "explain": {"when": "all", "budget": 1e6}}
    privacy = {"keys": str(flow.root / "keys"), "hide": ["event_id", "iban"]}
    read = {"event_id": "id", "event_time": "known_at", "column": "late", "positive": "> 0", "horizon": "1d"}
    own["labels"] = {"uri": str(flow.root / "labels.json"), "format": "json", **read}
    spec["sinks"]["quality"] = str(flow.root / "quality")
    return {**spec, **own, **({"privacy": privacy} if private else {})}


def private_flow(made: Flow, monkeypatch: pytest.MonkeyPatch) -> Flow:
    """A model of a person's values, which fails on one event with its value in the message."""
    tmp_path = made.root
    (tmp_path / "payload").mkdir()
    made.store.publish(tmp_path / "payload", {**MANIFEST, "inputs": INPUTS, "linear": LINEAR})
    made.store.append_release(champion="v1", effective_from_us=0, by="tests")
    labels = [{"id": one, "known_at": START_US, "late": 1} for one in IDS] + [{"id": BROKEN[3], "late": BROKEN[4]}]
    (tmp_path / "labels.json").write_bytes(json_lines(labels))
    made.feed(json_lines(EVENTS) + b'{"id": "' + BROKEN[1].encode() + b"\n")
    scored = LinearScorer.score

    def score(self: LinearScorer, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        if FAILING in batch.column("distance").to_pylist():
            raise ValueError(f"distance {FAILING} of {batch.column('iban')[-1].as_py()!r} is too far")
        return scored(self, batch)

    monkeypatch.setattr(LinearScorer, "score", score)
    return made


def left_by(flow: Flow, outcome: Outcome) -> list[tuple[str, bytes]]:
    """All that a run wrote, but for its input and the keys, and all that it said."""
    folders = [flow.root / name for name in (*SINKS, "store", "again")]
    summary = str(outcome.summary).encode()
    return [*written(*folders), ("stdout", outcome.out.encode()), ("stderr", outcome.err.encode()), ("sum", summary)]


def erase(flow: Flow, subject: str) -> None:
    KeyStore(Backend(str(flow.root / "keys"))).erase(identity_of_subject(subject), AskedBy("tests", START_US))


def asked(flow: Flow, spec: Any, *words: str) -> tuple[int, Any]:
    outcome = flow.run(spec, verb=lambda rest: main(["audit", *words, *rest, "--json"]))
    return outcome.code, json.loads(outcome.out)
