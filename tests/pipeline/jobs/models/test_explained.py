"""Jobs with `explain`: which scores get reasons, what these are, what they may cost, and that they cost no score."""

import math
from pathlib import Path
from typing import Any

import pytest

from models.explaining.reasons import reasons_of
from models.scorers.linear import LinearScorer
from models.serving.cache import ModelHandle
from tests.pipeline.jobs.flows import MANIFEST, Flow, Outcome, json_lines, read_avro, trips

TEXTS = {"positive": "rejected", "negative": "approved"}
WORDS = {"delay": {"code": "D1", "positive": "often late"}, "distance": {"suppress": True}}
INPUTS = [*MANIFEST["inputs"], {"name": "distance", "type": "integer"}, {"name": "carrier", "type": "string"}]
LINEAR = {
    "intercept": -2.0,
    "coefficients": {"delay": 0.1, "distance": 0.003},
    "categories": {"carrier": {"A": 1.0}},
}


@pytest.fixture
def explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Flow:
    """A job of 40 trips whose model decides, and has words for what it reads."""
    flow = Flow(tmp_path, capsys)
    (tmp_path / "payload").mkdir()
    output = {"kind": "probability", "threshold": 0.5, "decisions": TEXTS}
    changes = {"format": 2, "inputs": INPUTS, "linear": LINEAR, "output": output, "reasons": WORDS}
    flow.store.publish(tmp_path / "payload", {**MANIFEST, **changes})
    flow.store.append_release(champion="v1", effective_from_us=0, by="tests")
    flow.feed(json_lines(trips(40)))
    return flow


def run(flow: Flow, **explain: Any) -> tuple[Outcome, list[dict[str, Any]]]:
    spec = flow.spec()
    outcome = flow.run({**spec, "features": [*spec["features"], "carrier"], "explain": explain}, "--verbose")
    assert outcome.code == 0, outcome.err
    receipts = [row for row in read_avro(flow.root / "audit") if "features" in row]
    assert (len(receipts), outcome.summary["scored"]) == (40, 40)
    return outcome, receipts


def test_reasons_add_up_to_the_score_and_are_those_of_the_receipt_later(explained: Flow) -> None:
    outcome, receipts = run(explained, when="all", budget=1e6)
    assert outcome.summary["reasons"] == {"computed": 40, "dropped": 0, "failed": 0}
    assert "explain is in the spec, but" not in outcome.err
    model = ModelHandle(str(explained.root / "store"), "trips", "v1", receipts[0]["digest"]).load()
    scores = {row["score_id"]: row for row in read_avro(explained.root / "scores")}
    for receipt, later in zip(receipts, reasons_of(model, receipts), strict=True):
        margin = math.log(receipt["score"] / (1 - receipt["score"]))
        hidden = 0.003 * receipt["features"]["distance"]
        total = receipt["base_value"] + sum(reason["contribution"] for reason in receipt["reasons"])
        assert total + hidden == pytest.approx(margin)
        names = [(each.feature, each.contribution, each.code) for each in later.contributions]
        assert names == [tuple(reason.values()) for reason in receipt["reasons"]]
        assert scores[receipt["score_id"]]["reasons"] == receipt["reasons"]
    assert {reason["feature"]: reason["code"] for row in receipts for reason in row["reasons"]} == {
        "delay": "D1",
        "carrier": None,
    }


def test_only_these_decisions_are_explained_in_the_texts_of_the_bundle(explained: Flow) -> None:
    outcome, receipts = run(explained, when=["rejected"], budget=1e6, top=1)
    assert {row["decision"] for row in receipts} == {"rejected", "approved"}
    for row in receipts:
        assert row["decision"] == ("rejected" if row["score"] >= 0.5 else "approved")
        assert (row["base_value"] is not None) == (row["decision"] == "rejected")
        assert len(row["reasons"]) == (row["decision"] == "rejected")
    assert outcome.summary["reasons"]["computed"] == sum(row["decision"] == "rejected" for row in receipts)


def test_the_sample_is_decided_by_the_id_of_the_score(explained: Flow) -> None:
    _, receipts = run(explained, sample=0.4, budget=1e6)
    chosen = {row["score_id"] for row in receipts if row["base_value"] is not None}
    assert chosen == {row["score_id"] for row in receipts if int(row["score_id"][:16], 16) / 2**64 < 0.4}
    assert 0 < len(chosen) < 40


def test_what_the_budget_leaves_out_is_counted(explained: Flow) -> None:
    outcome, receipts = run(explained, when="all", budget=0)
    assert outcome.summary["reasons"] == {"computed": 0, "dropped": 40, "failed": 0}
    assert all(row["base_value"] is None and row["reasons"] == [] for row in receipts)


@pytest.mark.parametrize("broken", ["contributions", "explainer"])
def test_a_failure_of_explaining_costs_no_score(
    explained: Flow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    def fails(*arguments: Any) -> Any:
        raise RuntimeError("no reasons today")

    if broken == "contributions":
        monkeypatch.setattr(LinearScorer, "contributions", fails)
    else:
        monkeypatch.setattr("transforms.scoring.explaining.explainer_of", fails)
    outcome, receipts = run(explained, when="all", budget=1e6)
    assert outcome.summary["reasons"] == {"computed": 0, "dropped": 0, "failed": 40}
    assert all(row["base_value"] is None for row in receipts)
    said = [each for each in caplog.messages if each.startswith("reasons of version 'v1'")]
    assert len(said) == 1
    assert "no reasons today" in said[0]
