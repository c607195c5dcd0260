"""`halflife replay` with labels: how good each version was, by window, beside what two versions differ in."""

import json
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from pipeline.replaying.replay import replay
from tests.pipeline.jobs.flows import MANIFEST, SECOND_US, Flow, Outcome, json_lines, read_avro, trip, trips

DECIDING = {**MANIFEST, "output": {"kind": "probability", "threshold": 0.9, "positive": "late"}}
LABELS = {"format": "json", "event_id": "of", "event_time": "known", "column": "late_by"}
HOUR_US = 3600 * SECOND_US


def put(flow: Flow, version: str, slope: float, **changes: Any) -> None:
    linear = {**MANIFEST["linear"], "coefficients": {"delay": slope}}
    (flow.root / "payload").mkdir(exist_ok=True)
    flow.store.publish(flow.root / "payload", {**DECIDING, "version": version, "linear": linear, **changes})


def truth(number: int, after_us: int = 60) -> dict[str, Any]:
    """In the first hour no trip is late; then every third."""
    late = number >= 60 and number % 3 == 0
    return {"of": f"t{number}", "known": trip(number)["at"] + after_us, "late_by": 30.0 if late else 1.0}


@pytest.fixture
def history(flow: Flow) -> Flow:
    """200 trips over four hours, two versions, and labels of all but the last ten, of which five come too late."""
    put(flow, "v2", 0.1)
    put(flow, "v3", -0.05)
    flow.feed(json_lines(trips(200)))
    late = [truth(number, 2 * HOUR_US) for number in range(190, 195)]
    flow.feed(json_lines([*(truth(number) for number in range(190)), *late, {**truth(0), "of": "t999"}]), "truth.json")
    return flow


def replayed(flow: Flow, *words: str, **stated: Any) -> Outcome:
    labels = {"uri": str(flow.root / "truth.json"), **LABELS, "positive": "> 15", "horizon": "1h", **stated}
    spec = flow.spec() | {"labels": {name: value for name, value in labels.items() if value}, "drift": {"window": "1h"}}
    return flow.run(spec, "--out", str(flow.root / "again"), *words, verb=replay)


def test_metrics_are_those_of_the_scores_that_were_written(history: Flow) -> None:
    outcome = replayed(history, "--version", "v2", "--version", "v3", "--json")
    assert outcome.code == 0, outcome.err
    report = json.loads(outcome.out)
    for version in ("v2", "v3"):
        quality = report["versions"][version]["quality"]
        records = [each for each in read_avro(history.root / "again" / "scores") if each["version"] == version]
        known = [(each["score"], truth(int(each["event_id"][1:]))["late_by"] > 15) for each in records
                 if int(each["event_id"][1:]) < 190]  # fmt: skip
        scores, truths = np.array([each[0] for each in known]), np.array([each[1] for each in known])
        overall = {name: quality["overall"][name] for name in ("auc", "log_loss", "accuracy")}
        wanted = {"auc": roc_auc_score(truths, scores), "log_loss": log_loss(truths, scores)}
        assert overall == pytest.approx({**wanted, "accuracy": np.mean((scores >= 0.9) == truths)})
        assert (quality["overall"]["n"], quality["overall"]["unlabelled"]) == (190, 10)
        assert quality["outcomes"] == {"labelled": 190, "no_label": 5, "after_horizon": 5}
    assert report["labels"] == {"read": 196, "pending": 0, "unreadable": 0, "without_score": 1}
    assert report["comparison"]["overall"]["both"] == 200  # what there is without labels is still there


def test_window_with_one_class_has_no_auc_and_the_reason(history: Flow) -> None:
    report = json.loads(replayed(history, "--version", "v2", "--json").out)
    first, second, *_ = report["versions"]["v2"]["quality"]["windows"]
    assert (first["n"], first["auc"], first["why"]) == (60, None, {"auc": "only one class among the labels"})
    assert first["brier"] is not None
    assert (second["why"], 0 <= second["auc"] <= 1) == ({}, True)
    outcome = replayed(history, "--version", "v2")
    lines = outcome.out.splitlines()
    [title] = [line for line in lines if line.startswith("against labels")]
    assert title == "against labels (196 labels read, 0 not known yet, 0 unreadable, 1 of no score)"
    row = next(line.split() for line in lines if line.startswith("2013-01-01T00:00:00Z") and " v2 " in line)
    assert row[2:6] == ["v2", "60", "0", "-"]
    assert "  auc of v2 is - in 1 rows: only one class among the labels" in lines


def test_regression_is_measured_in_the_labels_own_unit(history: Flow) -> None:
    put(history, "r1", 0.5, output={"kind": "regression"})
    quality = json.loads(replayed(history, "--version", "r1", "--json", positive=None).out)["versions"]["r1"]["quality"]
    records = [each for each in read_avro(history.root / "again" / "scores") if int(each["event_id"][1:]) < 190]
    errors = [each["score"] - truth(int(each["event_id"][1:]))["late_by"] for each in records]
    wanted = {"mae": np.mean(np.abs(errors)), "rmse": np.sqrt(np.mean(np.square(errors)))}
    assert {name: quality["overall"][name] for name in wanted} == pytest.approx(wanted)


def test_labels_that_do_not_fit_the_answers_give_no_metrics_and_the_reason(history: Flow) -> None:
    quality = json.loads(replayed(history, "--version", "v2", "--json", positive=None).out)["versions"]["v2"]["quality"]
    why = "the labels are not true and false; next: state labels.positive"
    assert (quality["overall"]["n"], quality["overall"]["auc"], quality["overall"]["why"]["auc"]) == (190, None, why)


def test_labels_that_are_not_there_are_told_and_no_quality_is_measured(history: Flow) -> None:
    outcome = replayed(history, "--version", "v2", uri=str(history.root / "none.json"))
    assert outcome.code == 0, outcome.err
    assert "labels.uri: no file matches" in outcome.err
    assert "no quality is measured" in outcome.err
    assert "quality" not in outcome.out
