"""Categories that a model never saw: its library's own answer and a count where it has one, else a letter."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from models.scorers import Scorer
from pipeline.reporting.summary import print_summary
from tests.pipeline.jobs.flows import MANIFEST, Flow, Outcome, json_lines, read_avro, trip

CARRIERS, FLOORS = ["AA", "DL", "UA"], [10, 20, 30]
TYPES: dict[str, Any] = {"delay": float, "carrier": CARRIERS, "distance": FLOORS}
INPUTS = [
    {"name": "delay", "type": "number", "nullable": True},
    {"name": "carrier", "type": "string", "nullable": True},
    {"name": "distance", "type": "integer", "nullable": True},
]
EVENTS = [
    trip(number, carrier=carrier, distance=distance)
    for number, (carrier, distance) in enumerate(
        [("AA", 10), ("DL", 20), ("ZZ", 10), (None, 30), ("", 20), ("UA", 15), ("ZZ", -1), ("UA", None), ("aa", 30)]
    )
]
UNSEEN = {"carrier": 4, "distance": 2}
UNKNOWN = ["t2", "t4", "t5", "t6", "t8"]


class Expected(NamedTuple):
    """What a run with a model of one library comes to."""

    unseen: dict[str, dict[str, int]]
    errors: dict[str, dict[str, int]]
    letters: list[str]
    said: list[str]


EXPECTED = {
    "lightgbm": Expected(
        {"v1": UNSEEN}, {}, [], [f"{name} of a category that v1 never saw {n}" for name, n in UNSEEN.items()]
    ),
    "xgboost": Expected({}, {"score": {"UnknownCategory": 5}}, UNKNOWN, []),
}


def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """As a user of the library has it: whatever the values, columns of categories."""
    frame = pd.DataFrame(rows)[list(TYPES)]
    numbers = [None if pd.isna(value) else int(value) for value in frame.distance]
    return frame.assign(carrier=frame.carrier.astype("category"), distance=pd.Categorical(numbers))


def trained() -> tuple[pd.DataFrame, Any]:
    random = np.random.default_rng(2)
    rows = pd.DataFrame({"delay": random.normal(5, 5, 400)})
    rows["carrier"], rows["distance"] = random.choice(CARRIERS, 400), random.choice(FLOORS, 400)
    target = rows.delay + rows.carrier.map({"AA": 20, "DL": -30, "UA": 5}) + rows.distance.map({10: 9, 20: -9, 30: 1})
    return table([{str(name): row[name] for name in row} for row in rows.to_dict("records")]), target


def with_lightgbm() -> Any:
    import lightgbm

    return lightgbm.LGBMRegressor(n_estimators=20, verbose=-1).fit(*trained())


def with_xgboost() -> Any:
    import xgboost

    return xgboost.XGBRegressor(n_estimators=20, enable_categorical=True).fit(*trained())


TRAINED: dict[str, Callable[[], Any]] = {"lightgbm": with_lightgbm, "xgboost": with_xgboost}


def in_a_file(folder: Path, model: Any) -> str:
    name = "m.txt" if hasattr(model, "booster_") else "m.ubj"
    (model.booster_ if hasattr(model, "booster_") else model).save_model(folder / name)
    return "lightgbm" if hasattr(model, "booster_") else "xgboost"


def by_mlflow(folder: Path, model: Any) -> str:
    import importlib

    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    flavour = "lightgbm" if hasattr(model, "booster_") else "xgboost"
    module = importlib.import_module(f"mlflow.{flavour}")
    module.save_model(model, path=str(folder / "model"), pip_requirements=["none"])
    return "mlflow"


@pytest.fixture
def flow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Flow:
    made = Flow(tmp_path, capsys)
    made.feed(json_lines(EVENTS))
    return made


def serve(flow: Flow, version: str, scorer: str, **changes: Any) -> None:
    plain = {key: value for key, value in MANIFEST.items() if key != "linear"}
    document = {**plain, "version": version, "scorer": scorer, "inputs": INPUTS, "output": {"kind": "regression"}}
    flow.store.publish(flow.root / "payload", {**document, **changes})


def receipts(flow: Flow) -> dict[str, dict[str, Any]]:
    return {one["event_id"]: one for one in read_avro(flow.root / "audit" / "receipts")}


def said(summary: dict[str, Any]) -> list[str]:
    shown = io.StringIO()
    print_summary(summary, shown)
    return [" ".join(line.split()) for line in shown.getvalue().splitlines() if "never saw" in line]


STATED = {"delay": "number", "carrier": "string", "distance": "integer"}


def run_alone(flow: Flow, model: Any, save: Callable[[Path, Any], str]) -> Outcome:
    """A run whose one version is this model."""
    (flow.root / "payload").mkdir()
    serve(flow, "v1", save(flow.root / "payload", model))
    flow.store.append_release(champion="v1", effective_from_us=0, by="tests")
    outcome = flow.run(flow.spec(columns=STATED))
    assert outcome.code == 0
    return outcome


@pytest.mark.parametrize("save", [in_a_file, by_mlflow])
@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_unseen_value_gets_the_answer_of_its_library_or_is_a_letter(
    flow: Flow, library: str, save: Callable[[Path, Any], str]
) -> None:
    model, expected = TRAINED[library](), EXPECTED[library]
    outcome = run_alone(flow, model, save)
    assert outcome.summary["unseen_categories"] == expected.unseen
    assert outcome.summary["dead_letter_errors"] == expected.errors
    assert sorted(letter["event_id"] for letter in flow.letters()) == expected.letters
    assert said(outcome.summary) == expected.said
    known = [event for event in EVENTS if event["id"] not in expected.letters]
    scores = {identity: receipt["score"] for identity, receipt in receipts(flow).items()}
    truths = dict(zip([event["id"] for event in known], model.predict(table(known)).tolist(), strict=True))
    assert scores == pytest.approx(truths, abs=1e-5)


def test_a_shadow_and_coefficients_of_the_manifest_are_counted_by_version(flow: Flow) -> None:
    (flow.root / "payload").mkdir()
    linear = {**MANIFEST["linear"], "categories": {"carrier": {"AA": 0.5, "DL": -0.5}}}
    serve(flow, "dark", in_a_file(flow.root / "payload", with_lightgbm()))
    serve(flow, "plain", "linear", inputs=[*MANIFEST["inputs"], INPUTS[1]], linear=linear)
    flow.store.append_release(champion="plain", shadows=["dark"], effective_from_us=0, by="tests")
    outcome = flow.run(flow.spec(columns=STATED))
    assert (outcome.code, outcome.summary["scored"]) == (0, len(EVENTS))
    assert outcome.summary["unseen_categories"] == {"dark": UNSEEN, "plain": {"carrier": 6}}


def test_a_scorer_that_fails_to_count_unseen_values_loses_no_score(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Scorer, batch: Any) -> Any:
        raise LookupError("a bug of a plug-in")

    monkeypatch.setattr("models.scorers.linear.LinearScorer.unseen", fails)
    flow.publish("v1")
    outcome = flow.run(flow.spec(columns=STATED))
    assert (outcome.code, outcome.summary["scored"], outcome.summary["unseen_categories"]) == (0, len(EVENTS), {})
