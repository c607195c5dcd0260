"""`Model.score` gives what a job gives: the same numbers to the bit, and the same reasons where there is none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import halflife
from halflife import errors
from models.scorers import BUILT_IN
from tests.api import flights
from tests.models import bundle_folders as bundles
from tests.models.scorers import test_beam, test_lightgbm, test_mlflow, test_onnx, test_pmml, test_xgboost
from tests.pipeline.jobs.flows import read_avro

Make = Callable[[Path], dict[str, Any]]
KINDS: dict[str, Make] = {
    "linear": bundles.linear,
    "beam": test_beam.arrays,
    "lightgbm": test_lightgbm.categories,
    "mlflow": test_mlflow.sklearn_skops,
    "onnx": test_onnx.by_name,
    "pmml": test_pmml.logistic,
    "sklearn": bundles.sklearn_frame,
    "tensorflow": bundles.tensorflow_matrix,
    "xgboost": test_xgboost.categories,
}
ASK_A_SERVER = {"openinference", "sagemaker", "tfserving"}
DECIDING = {"threshold": 0.4, "positive": "late"}


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job that scored the events by `linear`, and by each other kind as a shadow."""
    root = tmp_path_factory.mktemp("scored")
    for kind, make in KINDS.items():
        manifest = make(root / "payloads" / kind)
        if kind == "linear":
            manifest = {**manifest, "output": {**manifest["output"], **DECIDING}}
        store = flights.publish(root, kind, root / "payloads" / kind, manifest)
    store.append_release(champion="linear", shadows=[*KINDS][1:], effective_from_us=0, by="tests")
    summary = halflife.run(flights.spec(root, allow_pickle=True))
    assert set(summary["versions"]) == set(KINDS), summary
    return root


def model(root: Path, version: str | None = None) -> halflife.Model:
    return halflife.load_model(root / "store", flights.MODEL, version, allow_pickle=True)


def receipts(root: Path, version: str) -> dict[str, tuple[float, str | None]]:
    records = read_avro(root / "audit" / "receipts")
    return {one["event_id"]: (one["score"], one["decision"]) for one in records if one["version"] == version}


def frame() -> pd.DataFrame:
    """The events, with their ids as the index."""
    return pd.DataFrame(flights.events()).set_index("id")


def test_every_kind_is_tried_but_those_that_ask_a_server() -> None:
    assert set(BUILT_IN) == {*KINDS, *ASK_A_SERVER}


@pytest.mark.parametrize("kind", KINDS)
def test_scores_of_a_frame_are_the_receipts_to_the_bit(scored: Path, kind: str) -> None:
    answers, known = model(scored, kind).score(frame()), receipts(scored, kind)
    assert list(answers.index) == [event["id"] for event in flights.events()]
    good = answers[answers.error.isna()]
    # What another column's bad value dead-letters in the job never reaches a kind that does not read that column.
    assert set(known) <= set(good.index)
    assert len(known) >= 40
    decided = good.decision.astype(object).where(good.decision.notna(), None)
    assert {name: (good.score[name], decided[name]) for name in known} == known


def test_rows_without_a_score_have_the_reasons_of_the_dead_letters(scored: Path) -> None:
    answers = model(scored).score(frame())
    failed = answers[answers.error.notna()]
    letters = {one["event_id"]: one for one in read_avro(scored / "dead_letters")}
    assert {"MissingInput", "WrongType", "NotFinite"} <= set(failed.error)
    assert dict(failed.error) == {name: letter["error"] for name, letter in letters.items()}
    assert [name for name in letters if not letters[name]["detail"].endswith(failed.detail[name])] == []
    assert failed.score.isna().all()


def test_release_in_force_decides_where_no_version_is_named(scored: Path) -> None:
    found = model(scored)
    assert (found.name, found.version, found.inputs) == (flights.MODEL, "linear", bundles.COLUMNS)
    assert repr(found) == "<halflife.Model late linear>"


def test_columns_are_scored_as_a_frame_a_batch_and_a_bundle_are(scored: Path) -> None:
    rows = bundles.flights(70, seed=3)
    columns = {name: rows.column(name).to_pylist() for name in rows.schema.names}
    expected = model(scored).score_batch(rows)
    assert expected.schema.names == ["score", "decision", "error", "detail"]
    bundle = halflife.load_bundle(scored / "store" / flights.MODEL / "versions" / "linear")
    for answers in (model(scored).score(columns), bundle.score(rows.to_pandas())):
        assert answers.score.tolist() == expected.column("score").to_pylist()
    assert model(scored).score_batch(rows.slice(0, 0)).num_rows == 0
    assert list(model(scored).score(rows.to_pandas().iloc[:0]).columns) == expected.schema.names


@pytest.mark.parametrize(
    ("distance", "errors_found"),
    [
        (pd.array([100, None, 300], dtype="Int64"), [None, "MissingInput", None]),
        ([100.0, float("nan"), 300.0], [None, "MissingInput", None]),  # as pandas holds integers beside a gap
        ([100.5, float("nan"), 300.0], ["WrongType", "MissingInput", "WrongType"]),
        ([100, "200", 2**70], [None, "WrongType", "WrongType"]),
        ([100, object(), [1]], [None, "WrongType", "WrongType"]),
        (pd.Categorical([100, 200, None]), [None, None, "MissingInput"]),
    ],
)
def test_values_as_pandas_holds_them(scored: Path, distance: Any, errors_found: list[str | None]) -> None:
    rows = bundles.flights(3).to_pandas().assign(distance=distance)
    found = model(scored).score(rows).error
    assert [None if pd.isna(each) else each for each in found] == errors_found


def test_nan_is_missing_in_a_frame_and_an_error_in_a_batch(scored: Path) -> None:
    rows = bundles.flights(2).to_pandas().assign(delay=[float("nan"), 1.0])
    assert model(scored).score(rows).error.isna().all()
    batch = pa.RecordBatch.from_pydict({name: rows[name].to_numpy() for name in rows})
    assert model(scored).score_batch(batch).column("error").to_pylist() == ["NotFinite", None]


def test_vectors_are_lists_or_arrays(tmp_path: Path) -> None:
    import skops.io
    from sklearn.linear_model import LogisticRegression

    rows = np.random.default_rng(2).normal(size=(30, 3)).astype(np.float32)
    trained = LogisticRegression().fit(rows, rows[:, 0] > 0)
    (tmp_path / "v").mkdir()
    skops.io.dump(trained, tmp_path / "v" / "model.skops")
    document = bundles.document("sklearn", inputs=[{"name": "embedding", "type": "vector[3]"}])
    flights.publish(tmp_path, "v", tmp_path / "v", document)
    found = model(tmp_path, "v")
    expected = trained.predict_proba(rows)[:, 1]
    for column in (list(rows), rows.tolist(), rows, pd.Series(list(rows))):
        np.testing.assert_allclose(found.score({"embedding": column}).score, expected, atol=1e-6)
    frame = pd.DataFrame({"embedding": [rows[0], None, rows[1][:2], [1.0, float("nan"), 0.0], "x"]})
    said = [None, "MissingInput", "WrongLength", "NotFinite", "WrongType"]
    assert [None if pd.isna(each) else each for each in found.score(frame).error] == said


def test_times_are_datetimes_texts_or_microseconds(tmp_path: Path) -> None:
    import skops.io
    from sklearn.linear_model import LinearRegression

    (tmp_path / "t").mkdir()
    trained = LinearRegression().fit(np.array([[0.0], [1e15], [2e15]]), [0.0, 1.0, 2.0])
    skops.io.dump(trained, tmp_path / "t" / "model.skops")
    inputs, output = [{"name": "at", "type": "timestamp"}], {"kind": "regression"}
    flights.publish(tmp_path, "t", tmp_path / "t", bundles.document("sklearn", inputs=inputs, output=output))
    found, moment = model(tmp_path, "t"), pd.Timestamp("2001-09-09T01:46:40Z")
    for value in (moment, moment.to_pydatetime(), "2001-09-09T01:46:40Z", 10**15, moment.tz_convert("Asia/Tokyo")):
        answers = found.score({"at": [value, None, "soon"]})
        assert (answers.score[0], list(answers.error[1:])) == (1.0, ["MissingInput", "MalformedTime"])


def test_what_cannot_be_scored_is_a_typed_error(scored: Path, tmp_path: Path) -> None:
    found = model(scored)
    with pytest.raises(errors.BundleRefused, match=r"input 'carrier' is not a column; .* did you mean 'carriers'\?"):
        found.score(bundles.flights(2).to_pandas().rename(columns={"carrier": "carriers"}))
    with pytest.raises(errors.UnusableData, match=r"delay 1, distance 2.* expected: one length"):
        found.score({"delay": [1.0], "distance": [1, 2], "weekend": [True], "carrier": ["AA"]})
    with pytest.raises(errors.StoreError, match="no version 'linea'; allowed: beam, lightgbm"):
        model(scored, "linea")
    with pytest.raises(errors.SpecError, match=r"expected: a model of .*: late"):
        halflife.load_model(scored / "store", "lat")
    with pytest.raises(errors.LoadFailed, match="expected: a job with --allow_pickle") as refused:
        halflife.load_model(scored / "store", flights.MODEL, "beam")
    assert refused.value.reason == "will_not_load"
    with pytest.raises(errors.BundleRefused, match=r"has no manifest.json"):
        halflife.load_bundle(tmp_path)


def test_load_is_in_the_log_of_the_store(scored: Path) -> None:
    from models.store.store import ModelStore

    found = model(scored, "sklearn")
    entries = ModelStore(str(scored / "store"), flights.MODEL).accesses().entries
    assert (found.version, found.digest) in [(e.detail.get("version"), e.detail.get("digest")) for e in entries
                                            if e.action == "loaded"]  # fmt: skip
