"""Models that raise or answer what is not a score, in a whole job: theirs is the failure, of the very record."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pytest

from models import scorers
from models.bundles.manifest import Manifest
from models.releases.release import Challenger
from models.scorers import PartlyScored, Scorer
from models.serving.cache import LoadedModel, shared_cache
from pipeline.process.interruption import Interrupted
from pipeline.reporting.summary import print_summary
from tests.models.bundle_folders import document, write_bundle
from tests.pipeline.jobs.flows import MANIFEST, Flow, json_lines, read_avro, trip, trips
from transforms.scoring import scoring
from transforms.scoring.scoring import score_rows

POISON = 13.0


class Panic(BaseException):
    """As a library in Rust raises it."""


def dropped(scores: npt.NDArray[np.float64], poisoned: npt.NDArray[np.bool_]) -> Any:
    return scores[~poisoned]


ANSWERS: dict[str, Callable[..., Any]] = {
    "the delay": lambda scores, poisoned: scores * 200,
    "a row too few": dropped,
    "a row too many": lambda scores, poisoned: np.concatenate((scores, scores[poisoned])),
    "a matrix": lambda scores, poisoned: np.stack([scores, scores], axis=1) if poisoned.any() else scores,
    "a number": lambda scores, poisoned: 0.5 if poisoned.any() else scores,
    "texts": lambda scores, poisoned: scores.astype(str) if poisoned.any() else scores,
    "nothing": lambda scores, poisoned: None if poisoned.any() else scores,
    "failures of other rows": lambda scores, poisoned: partly(scores, {99: ("E", "d")}) if poisoned.any() else scores,
    "half the scores": lambda scores, poisoned: partly(scores[:0], {0: ("E", "d")}) if poisoned.any() else scores,
}
RAISED: dict[str, type[BaseException]] = {
    found.__name__: found
    for found in (
        TypeError, AttributeError, NameError, AssertionError, MemoryError, RecursionError, StopIteration, OSError,
        SystemExit, GeneratorExit, Panic,
    )
}  # fmt: skip


def partly(scores: npt.NDArray[np.float64], failures: dict[int, tuple[str, str]]) -> Any:
    raise PartlyScored(scores, failures, False)


class MoodyScorer(Scorer):
    """Answers half the delay over 100; what it does with a poisoned record its parameters say."""

    kind = "moody"

    def __init__(self, manifest: Manifest) -> None:
        self._mood = manifest.parameters

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> "MoodyScorer":
        return cls(manifest)

    def score(self, batch: pa.RecordBatch) -> Any:
        delays = batch.column("delay").to_numpy()
        poisoned = delays == POISON
        if "raises" in self._mood and poisoned.any():
            raise RAISED[self._mood["raises"]]("a word of the library")
        return ANSWERS[self._mood["answers"]](delays / 200, poisoned) if "answers" in self._mood else delays / 200


@pytest.fixture
def moody(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Flow:
    """A job over ten trips, the fourth of them poisoned; models are still to be published."""
    shared_cache().retain(())
    monkeypatch.setitem(scorers.BUILT_IN, "moody", f"{__name__}:MoodyScorer")
    flow = Flow(tmp_path, capsys)
    flow.feed(json_lines([*trips(3), trip(3, delay=POISON), *trips(6, 4)]))
    return flow


def document_of(**changes: Any) -> dict[str, Any]:
    whole = {**MANIFEST, "scorer": "moody", **changes}
    return {key: value for key, value in whole.items() if key != "linear"}


def serve(flow: Flow, mood: dict[str, str]) -> None:
    """A version that misbehaves, as the champion."""
    (flow.root / "payload").mkdir(exist_ok=True)
    flow.store.publish(flow.root / "payload", document_of(version="v1", parameters=mood))
    flow.store.append_release(champion="v1", effective_from_us=0, by="tests")


def letters(flow: Flow) -> list[tuple[str, str, str]]:
    return [(letter["event_id"], letter["stage"], letter["error"]) for letter in flow.letters()]


@pytest.mark.parametrize("raised", RAISED)
def test_error_of_a_champion_is_a_letter_of_its_record(moody: Flow, raised: str) -> None:
    serve(moody, {"raises": raised})
    outcome = moody.run(moody.spec())
    assert (outcome.code, outcome.summary["scored"], letters(moody)) == (0, 9, [("t3", "score", raised)])
    assert moody.letters()[0]["detail"].endswith("a word of the library")


@pytest.mark.parametrize("raised", ["TypeError", "MemoryError", "SystemExit", "Panic"])
def test_error_of_a_shadow_is_counted_and_the_champion_answers(moody: Flow, raised: str) -> None:
    moody.publish("good")
    moody.store.publish(moody.root / "payload", document_of(version="dark", parameters={"raises": raised}))
    moody.store.append_release(champion="good", shadows=["dark"], effective_from_us=1, by="tests")
    outcome = moody.run(moody.spec())
    assert (outcome.code, outcome.summary["scored"], moody.letters()) == (0, 10, [])
    assert outcome.summary["shadow_scores_failed"] == 1
    table = io.StringIO()
    print_summary(outcome.summary, table)
    assert [line.split()[-1] for line in table.getvalue().splitlines() if "shadows failed" in line] == ["1"]
    assert outcome.summary["versions"] == {"good": {"champion": 10}, "dark": {"shadow": 9}}


@pytest.mark.parametrize("answers", list(ANSWERS)[1:])
def test_an_answer_of_another_length_or_type_is_an_error_with_the_models_name(moody: Flow, answers: str) -> None:
    serve(moody, {"answers": answers})
    outcome = moody.run(moody.spec())
    assert (outcome.code, outcome.err) == (0, "")
    wrong = letters(moody)
    # An answer that names its records is not requested again in parts: all of it is in doubt.
    several = answers in ("failures of other rows", "half the scores")
    assert outcome.summary["scored"] + len(wrong) == 10
    assert set(wrong) >= {("t3", "score", "WrongAnswer")}
    assert several or wrong == [("t3", "score", "WrongAnswer")]
    assert "version 'v1' of model 'trips'" in moody.letters()[0]["detail"]


def test_a_challenger_that_always_answers_too_little_loses_its_share_only(moody: Flow) -> None:
    moody.publish("good")
    moody.feed(json_lines([trip(number, delay=POISON) for number in range(10)]))
    moody.store.publish(moody.root / "payload", document_of(version="new", parameters={"answers": "a row too few"}))
    half = [Challenger("new", 0.5)]
    moody.store.append_release(champion="good", challengers=half, effective_from_us=1, by="tests")
    outcome = moody.run(moody.spec())
    scored = outcome.summary["versions"]["good"]["champion"]
    assert (outcome.code, len(moody.letters())) == (0, 10 - scored)
    assert 0 < scored < 10


LIMITS = [0.3, 5.0, -3.0, 0.0, 1.0, 1.0 + 1e-9]
IDENTITY = {"intercept": 0.0, "coefficients": {"delay": 1.0}, "means": {}, "scales": {}, "categories": {}}


def onnx_identity(folder: Path) -> dict[str, Any]:
    from onnx import TensorProto, helper

    shape = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, [None, 1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", shape[:1], shape[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return {"scorer": "onnx"}


def linear_identity(folder: Path) -> dict[str, Any]:
    return {"scorer": "linear", "linear": {**IDENTITY, "link": "identity"}}


def packaged(folder: Path) -> dict[str, Any]:
    return {"scorer": "moody", "parameters": {"answers": "the delay"}}


@pytest.mark.parametrize("make", [linear_identity, onnx_identity, packaged])
def test_no_probability_outside_its_range_leaves_as_a_score(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Path], dict[str, Any]],
) -> None:
    monkeypatch.setitem(scorers.BUILT_IN, "moody", f"{__name__}:MoodyScorer")
    flow = Flow(tmp_path, capsys)
    flow.feed(json_lines([trip(number, delay=delay) for number, delay in enumerate(LIMITS)]))
    (tmp_path / "payload").mkdir()
    whole = {**MANIFEST, "linear": None, "inputs": [{"name": "delay", "type": "number"}]} | make(tmp_path / "payload")
    flow.store.publish(tmp_path / "payload", {key: value for key, value in whole.items() if value is not None})
    flow.store.append_release(champion="v1", effective_from_us=0, by="tests")
    outcome = flow.run(flow.spec())
    assert (outcome.code, outcome.summary["scored"]) == (0, 4)
    assert sorted(letters(flow)) == [("t1", "score", "NotAProbability"), ("t2", "score", "NotAProbability")]
    assert {letter["detail"] for letter in flow.letters()} == {
        f"the scorer answered {value}; allowed: 0 to 1" for value in (5, -3)
    }


def test_an_encoder_that_fails_on_a_null_is_a_failure_of_its_shadow_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fitted on booleans and None it scores each record alone, and raises TypeError on a batch with a null."""
    flow = Flow(tmp_path, capsys)
    flow.publish("good")
    booleans = [True, False, None, True]
    flow.feed(json_lines([trip(number, late=late) for number, late in enumerate(booleans)]))
    payload = tmp_path / "encoder"
    payload.mkdir()
    fitted_on_booleans(payload)
    inputs = [{"name": "late", "type": "boolean", "nullable": True}, {"name": "delay", "type": "number"}]
    whole = document("sklearn", model="trips", version="dark", inputs=inputs, output={"kind": "regression"})
    flow.store.publish(payload, whole)
    flow.store.append_release(champion="good", shadows=["dark"], effective_from_us=1, by="tests")
    spec = flow.spec()
    outcome = flow.run(spec | {"features": [*spec["features"], "late"]})
    assert (outcome.code, outcome.summary["scored"], flow.letters()) == (0, 4, [])
    receipts = [row for row in read_avro(tmp_path / "audit" / "receipts") if row["version"] == "dark"]
    assert len(receipts) + outcome.summary["shadow_scores_failed"] == 4
    assert {row["event_id"] for row in receipts} >= {"t0", "t1", "t3"}


def fitted_on_booleans(folder: Path) -> None:
    import skops.io
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    rows = pd.DataFrame({"late": np.array([True, False, None] * 4, dtype=object), "delay": np.arange(12.0)})
    encoder = ColumnTransformer([("o", OneHotEncoder(handle_unknown="ignore"), ["late"])], remainder="passthrough")
    skops.io.dump(make_pipeline(encoder, Ridge()).fit(rows, np.arange(12.0)), folder / "model.skops")


def test_error_of_our_own_code_stops_the_job(moody: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    moody.publish("good")

    def broken(*arguments: Any) -> Any:
        raise ValueError("a bug of ours")

    monkeypatch.setattr(scoring, "prepare_inputs", broken)
    outcome = moody.run(moody.spec())
    assert (outcome.code, moody.letters()) == (1, [])
    assert "a bug of ours" in outcome.err


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, Interrupted])
def test_an_interruption_is_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interruption: type[BaseException]
) -> None:
    monkeypatch.setitem(RAISED, "interrupted", interruption)
    manifest = write_bundle(tmp_path, document_of(model="trips", parameters={"raises": "interrupted"}))
    model = LoadedModel(manifest, MoodyScorer(manifest), 0.0, 0)
    with pytest.raises(interruption):
        score_rows(model, pa.RecordBatch.from_pydict({"delay": [1.0, POISON]}))
