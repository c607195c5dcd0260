"""`publish` and `release` do what the commands do, from estimators and frames, and raise typed errors."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

import halflife
from halflife import errors
from models.store.store import ModelStore
from tests.pipeline.commands.commands import halflife as command

RANDOM = np.random.default_rng(5)
FRAME = pd.DataFrame({"delay": RANDOM.normal(size=80), "distance": RANDOM.integers(100, 900, 80)})
LATE = (FRAME.delay > 0).astype(int)
TYPES = ["xgboost.core.Booster", "xgboost.sklearn.XGBClassifier"]


@pytest.fixture(scope="module")
def estimator() -> LogisticRegression:
    return LogisticRegression().fit(FRAME, LATE)


def where(root: Path) -> dict[str, Any]:
    return {"store": root / "store", "name": "late"}


def test_estimator_and_frame_become_a_version_that_scores(
    tmp_path: Path, estimator: LogisticRegression, capfd: pytest.CaptureFixture[str]
) -> None:
    done = halflife.publish(
        estimator, **where(tmp_path), version="1", sample=FRAME, threshold=0.5, quality={"auc": 0.9}, by="ann",
        trained_at=datetime(2026, 1, 2, tzinfo=UTC), hyperparameters={"C": 1.0, "solver": "lbfgs"},
    )  # fmt: skip
    written = halflife.release("1", **where(tmp_path), effective_from="2013-01-01", reason="the first", by="ann")
    assert capfd.readouterr() == ("", "")
    assert (done.name, done.version, done.scorer, done.golden_records > 0, done.profile_rows) == (
        "late", "1", "sklearn", True, 80)  # fmt: skip
    assert (written.sequence, written.champion, written.by) == (1, "1", "ann")
    assert written.effective_from == datetime(2013, 1, 1, tzinfo=UTC)
    model = halflife.load_model(tmp_path / "store", "late")
    assert model.digest == done.digest
    np.testing.assert_allclose(model.score(FRAME).score, estimator.predict_proba(FRAME)[:, 1], atol=1e-12)
    manifest = ModelStore(str(tmp_path / "store"), "late").read_manifest("1")
    assert manifest.training["hyperparameters"] == {"C": 1.0, "solver": "lbfgs"}
    assert manifest.training["trained_at"].startswith("2026-01-02")
    assert manifest.quality == {"auc": 0.9}


@pytest.fixture(scope="module")
def boosted() -> Any:
    """A pipeline of scikit-learn with an estimator of XGBoost."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from xgboost import XGBClassifier

    return make_pipeline(StandardScaler(), XGBClassifier(n_estimators=3)).fit(FRAME, LATE)


def test_types_of_another_library_are_published_by_naming_them(tmp_path: Path, boosted: Any) -> None:
    halflife.publish(boosted, **where(tmp_path), version="1", sample=FRAME, trust=TYPES)
    assert list(ModelStore(str(tmp_path / "store"), "late").read_manifest("1").trust) == TYPES
    with pytest.raises(errors.LoadFailed, match="not trusted here"):
        halflife.load_model(tmp_path / "store", "late", "1")
    with pytest.raises(errors.LoadFailed, match="not trusted here"):
        halflife.load_bundle(tmp_path / "store" / "late" / "versions" / "1", trust=TYPES[:1])
    for model in (
        halflife.load_model(tmp_path / "store", "late", "1", trust=TYPES),
        halflife.load_bundle(tmp_path / "store" / "late" / "versions" / "1", trust=tuple(TYPES)),
    ):
        np.testing.assert_allclose(model.score(FRAME).score, boosted.predict_proba(FRAME)[:, 1], atol=1e-6)


def test_release_tries_types_that_are_named(tmp_path: Path, boosted: Any) -> None:
    halflife.publish(boosted, **where(tmp_path), version="1", sample=FRAME, trust=TYPES)
    with pytest.raises(errors.Refused, match="not trusted here"):
        halflife.release("1", **where(tmp_path), effective_from="2013-01-01")
    assert halflife.release("1", **where(tmp_path), effective_from="2013-01-01", trust=TYPES).sequence == 1


def test_types_that_nobody_names_are_refused_with_the_argument(tmp_path: Path, boosted: Any) -> None:
    with pytest.raises(errors.Refused, match="untrusted types"):
        halflife.publish(boosted, **where(tmp_path), version="1", sample=FRAME)
    with pytest.raises(errors.SpecError, match="expected: a list of full names of types"):
        halflife.publish(boosted, **where(tmp_path), version="1", sample=FRAME, trust=TYPES[0])


def test_words_of_decisions_and_reasons_are_published(tmp_path: Path, estimator: LogisticRegression) -> None:
    words = {"delay": {"code": "D1", "positive": "late", "negative": "in time"}, "distance": {"suppress": True}}
    decisions = {"positive": "rejected", "negative": "approved"}
    stated: dict[str, Any] = {"threshold": 0.5, "decisions": decisions, "reasons": words}
    halflife.publish(estimator, **where(tmp_path), version="1", sample=FRAME, **stated)
    manifest = ModelStore(str(tmp_path / "store"), "late").read_manifest("1")
    assert manifest.reasons["delay"].positive == "late"
    assert manifest.reasons["distance"].suppress
    answers = halflife.load_model(tmp_path / "store", "late", "1").score(FRAME)
    assert list(answers.decision) == ["rejected" if score >= 0.5 else "approved" for score in answers.score]
    with pytest.raises(errors.StoreError, match="reasons of 'dely', which is not an input; allowed: delay, distance"):
        halflife.publish(estimator, **where(tmp_path), version="2", sample=FRAME, reasons={"dely": {"code": "D"}})
    with pytest.raises(errors.SpecError, match="decisions"):
        halflife.publish(estimator, **where(tmp_path), version="2", sample=FRAME, decisions={"yes": "approved"})


def test_release_names_challengers_and_shadows(tmp_path: Path, estimator: LogisticRegression) -> None:
    for version in ("1", "2", "3"):
        halflife.publish(estimator, **where(tmp_path), version=version, sample=FRAME)
    soon = datetime.now(UTC) + timedelta(hours=1)
    written = halflife.release(
        "1", **where(tmp_path), challengers={"2": 0.25}, shadows=["3"], effective_from=soon, check=False
    )
    assert (written.challengers, written.shadows) == ({"2": 0.25}, ("3",))
    assert abs(written.effective_from - soon) < timedelta(milliseconds=1)
    again = halflife.release("1", **where(tmp_path), challengers={"2": 0.5}, effective_from="now", check=False)
    assert again.salt == written.salt
    assert any("its time has begun" in note for note in again.notes) or again.effective_from > datetime.now(UTC)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, estimator: LogisticRegression) -> Path:
    """A store whose version 1 serves, and whose version 2 answers with another kind of score."""
    root = tmp_path_factory.mktemp("served")
    halflife.publish(estimator, **where(root), version="1", sample=FRAME)
    halflife.publish(LinearRegression().fit(FRAME, LATE), **where(root), version="2", sample=FRAME)
    halflife.release("1", **where(root), effective_from="2013-01-01")
    return root


def test_refusals_have_a_reason_and_write_nothing(served: Path, estimator: LogisticRegression) -> None:
    with pytest.raises(errors.Refused, match="not published: too_large: ") as refused:
        halflife.publish(estimator, **where(served), version="3", sample=FRAME, max_bytes=10)
    assert (refused.value.reason, "allowed: at most 10" in refused.value.detail) == ("too_large", True)
    with pytest.raises(errors.Refused, match=r"not released: .* is not output regression of version '2'") as refused:
        halflife.release("2", **where(served))
    assert (refused.value.reason, "--accept_output_change" in refused.value.detail) == ("output_change", True)
    with pytest.raises(errors.StoreError, match="version '3' of 'late' does not exist"):
        halflife.release("3", **where(served))
    assert [one.sequence for one in ModelStore(str(served / "store"), "late").releases()] == [1]
    assert halflife.release("2", **where(served), accept_output_change=True).sequence == 2


def test_commands_say_refusals_as_they_did(served: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "1"
    shutil.copytree(served / "store" / "late" / "versions" / "1", bundle)
    to = ["--store", str(tmp_path / "store"), "--model", "late"]
    ran = command("models", "publish", str(bundle), "--max_bytes", "10", *to, "--json")
    said = json.loads(ran.out)
    assert (ran.code, said["published"], said["reason"], len(said)) == (1, False, "too_large", 3)
    ran = command("models", "publish", str(bundle), "--max_bytes", "10", *to)
    assert (ran.code, ran.out, ran.err.startswith("halflife: not published: too_large: ")) == (1, "", True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"store": None}, "--store: missing; expected: a value"),
        ({"inputs": {"delay": "float"}}, "inputs: 'delay:float' is not allowed; expected: NAME:number"),
        ({"trained_at": "yesterday"}, "trained_at: 'yesterday' is not allowed; expected: "),
        ({"trained_at": datetime(2026, 1, 1)}, "datetime: '2026-01-01T00:00:00' is not allowed; expected: a time with"),
        ({"codes": "x"}, "publish: 'codes' is not allowed; allowed: code, parameters"),
        ({"source": object()}, "source: 'builtins.object' is not allowed; expected: a path, or an estimator"),
        ({"version": None}, "--version is missing"),
        ({"accept_library": ["="]}, "accept_library: '=' is not allowed"),
    ],
)
def test_bad_arguments_are_named(
    tmp_path: Path, estimator: LogisticRegression, arguments: dict[str, Any], said: str
) -> None:
    given = {"source": estimator, **where(tmp_path), "version": "1", **arguments}
    with pytest.raises(errors.HalflifeError, match=said):
        halflife.publish(**given)
    assert not (tmp_path / "store" / "late" / "versions").exists()
