"""Vectors as inputs of models: the tensor is a view of the column, and what does not fit is refused in words."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.bundles.inputs import WrongInputs, check_inputs, prepare_inputs
from models.bundles.manifest import Input, InvalidManifest, parse_manifest
from models.scorers import Scorer, WillNotLoad, load_scorer
from models.scorers.onnx.scorer import OnnxScorer
from models.scorers.remote.access import parse_address
from models.scorers.remote.parameters import Parameters
from models.scorers.remote.protocols.sagemaker import _values as rows_sent
from models.scorers.remote.tensors import Feed
from models.scorers.sklearn.scorer import SklearnScorer
from schemas.vectors import of_rows
from tests.models.bundle_folders import document, write_bundle

REGRESSION = {"output": {"kind": "regression"}}
ROWS = np.random.default_rng(3).normal(size=(64, 12)).astype(np.float32)
WEIGHTS = np.random.default_rng(4).normal(size=12).astype(np.float32)
TENSORS: dict[str, tuple[list[int | None], str]] = {
    "a matrix": ([None, 12], "FLOAT"),
    "a matrix of 64 bits": ([None, 12], "DOUBLE"),
    "an image": ([None, 1, 3, 4], "FLOAT"),
    "an open width": ([None, None], "FLOAT"),
    "a fixed batch": ([5, 12], "FLOAT"),
}


def graph(folder: Path, inputs: dict[str, tuple[list[int | None], str]]) -> None:
    """A graph whose score is the weighted sum of all numbers of a row."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, flat = [], []
    for name, (shape, _) in inputs.items():
        nodes += [helper.make_node("Reshape", [name, "flat"], [f"{name} flat"])]
        nodes += [helper.make_node("Cast", [f"{name} flat"], [f"{name} cast"], to=TensorProto.FLOAT)]
        flat.append((f"{name} cast", shape))
    nodes.append(helper.make_node("Concat", [name for name, _ in flat], ["all"], axis=1))
    nodes.append(helper.make_node("MatMul", ["all", "weights"], ["score"]))
    width = 12 if len(inputs) == 1 else 13
    constants = [
        numpy_helper.from_array(np.resize(WEIGHTS, (width, 1)), "weights"),
        numpy_helper.from_array(np.array([0, -1]), "flat"),
    ]
    given = [
        helper.make_tensor_value_info(name, getattr(TensorProto, kind), shape) for name, (shape, kind) in inputs.items()
    ]
    answers = [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])]
    made = helper.make_model(
        helper.make_graph(nodes, "sum", given, answers, constants),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(made.SerializeToString())


def loaded(folder: Path, scorer: str, inputs: list[dict[str, Any]], **changes: Any) -> Scorer:
    manifest = write_bundle(folder, document(scorer, inputs=inputs, **{**REGRESSION, **changes}))
    return load_scorer(manifest.scorer, folder, manifest)


class Recording:
    """A real session, or estimator, that keeps what it is fed."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.fed: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def run(self, outputs: Any, feeds: dict[str, Any], *options: Any) -> Any:
        self.fed += feeds.values()
        return self.inner.run(outputs, feeds, *options)

    def predict(self, rows: Any) -> Any:
        self.fed.append(rows)
        return self.inner.predict(rows)


@pytest.mark.parametrize("tensor", TENSORS.values(), ids=TENSORS)
def test_onnx_takes_a_vector_of_as_many_numbers(tmp_path: Path, tensor: tuple[list[int | None], str]) -> None:
    graph(tmp_path, {"pixels": tensor})
    truth = (ROWS @ WEIGHTS).astype(np.float64)
    for name, kind in (("pixels", "vector[12]"), ("embedding", "vector[12,float64]")):  # by name, and as the only input
        scorer = loaded(tmp_path, "onnx", [{"name": name, "type": kind}])
        batch, _ = prepare_inputs(pa.record_batch({name: of_rows(ROWS)}), [Input(name, kind)])
        assert np.allclose(scorer.score(batch), truth, atol=1e-4)


def test_onnx_reads_the_columns_own_memory(tmp_path: Path) -> None:
    graph(tmp_path, {"pixels": ([None, 1, 3, 4], "FLOAT")})
    real = loaded(tmp_path, "onnx", [{"name": "pixels", "type": "vector[12]"}])
    assert isinstance(real, OnnxScorer)
    session = Recording(real._session)
    manifest = parse_manifest((tmp_path / "manifest.json").read_bytes())
    OnnxScorer(session, None, manifest, tmp_path / "model.onnx").score(pa.record_batch({"pixels": of_rows(ROWS)}))
    assert session.fed[0].shape == (64, 1, 3, 4)
    assert np.shares_memory(session.fed[0], ROWS)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sklearn_reads_the_columns_own_memory(tmp_path: Path, dtype: type) -> None:
    from sklearn.linear_model import LinearRegression

    rows: np.ndarray[Any, Any] = ROWS.astype(dtype)
    estimator = Recording(LinearRegression().fit(rows, rows @ WEIGHTS.astype(dtype)))
    kind = "vector[12]" if dtype is np.float32 else "vector[12,float64]"
    manifest = write_bundle(tmp_path, document("sklearn", inputs=[{"name": "e", "type": kind}], **REGRESSION))
    scores = SklearnScorer(estimator, manifest).score(pa.record_batch({"e": of_rows(rows)}))
    assert np.shares_memory(estimator.fed[-1], rows)
    assert np.array_equal(scores, estimator.inner.predict(rows).astype(np.float64))


def test_vectors_stand_beside_other_inputs(tmp_path: Path) -> None:
    graph(tmp_path, {"age": ([None, 1], "FLOAT"), "pixels": ([None, 12], "FLOAT")})
    inputs = [{"name": "pixels", "type": "vector[12]"}, {"name": "age", "type": "integer"}]
    batch = pa.record_batch({"pixels": of_rows(ROWS), "age": pa.array(range(64))})
    both = np.column_stack([np.arange(64), ROWS]).astype(np.float32)
    assert np.allclose(loaded(tmp_path, "onnx", inputs).score(batch), both @ np.resize(WEIGHTS, 13), atol=1e-3)


@pytest.mark.parametrize("kind", ["vector[12]", "number"])
def test_a_row_has_the_same_score_in_each_batch(tmp_path: Path, kind: str) -> None:
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(ROWS, ROWS @ WEIGHTS > 0)
    made = to_onnx(model, ROWS[:1], options={id(model): {"zipmap": False}}, target_opset={"": 17, "ai.onnx.ml": 3})
    (tmp_path / "model.onnx").write_bytes(made.SerializeToString())
    columns = {"v": of_rows(ROWS)} if kind != "number" else {f"v{i}": ROWS[:, i].astype(float) for i in range(12)}
    inputs = [{"name": name, "type": kind} for name in columns]
    scorer, batch = loaded(tmp_path, "onnx", inputs, output={"kind": "probability"}), pa.record_batch(columns)
    whole = scorer.score(batch).tolist()
    for size in (1, 7, 40):
        parts = [scorer.score(batch.slice(start, size)) for start in range(0, 64, size)]
        assert np.concatenate(parts).tolist() == whole


def test_vectors_that_the_tensor_does_not_hold_are_refused(tmp_path: Path) -> None:
    graph(tmp_path, {"pixels": ([None, 3, 4], "FLOAT")})
    for name, kind in (("pixels", "vector[11]"), ("pixels", "number")):
        with pytest.raises(WillNotLoad, match=r"pixels.*\[None, 3, 4\]; expected: vector\[12\]"):
            loaded(tmp_path, "onnx", [{"name": name, "type": kind}])
    with pytest.raises(WillNotLoad, match=r"inputs e vector\[11\]; expected: pixels tensor\(float\)"):
        loaded(tmp_path, "onnx", [{"name": "e", "type": "vector[11]"}])


def test_estimators_of_another_width_are_refused() -> None:
    from sklearn.linear_model import LinearRegression

    raw = b'{"model": "m", "version": "v", "scorer": "sklearn", "files": {}, "training": {"trained_at": '
    raw += b'"2013-03-01T00:00:00Z"}, "created_by": "t", "output": {"kind": "regression"}, "inputs": '
    manifest = parse_manifest(raw + b'[{"name": "e", "type": "vector[11]"}, {"name": "x", "type": "number"}]}')
    with pytest.raises(WillNotLoad, match="12 numbers in e, x; expected: 11, as the estimator was fitted"):
        SklearnScorer(LinearRegression().fit(ROWS[:, :11], ROWS[:, 0]), manifest)


@pytest.mark.parametrize("scorer", ["linear", "xgboost", "pmml"])
def test_kinds_without_vectors_say_so(tmp_path: Path, scorer: str) -> None:
    more: dict[str, Any] = {"linear": None} if scorer != "linear" else {}
    inputs = [{"name": "delay", "type": "number"}, {"name": "e", "type": "vector[3]"}]
    if scorer == "linear":
        terms = {"intercept": 0, "coefficients": {"delay": 1, "e": 1}}
        more = {"linear": terms}
    with pytest.raises(WillNotLoad, match=rf"{scorer}: input 'e' is a vector\[3\]; expected: number, .* onnx, sklearn"):
        loaded(tmp_path, scorer, inputs, **more)


def test_inputs_are_rounded_and_vectors_with_a_hole_count_as_null() -> None:
    given = pa.array([[0.1, 1.0], None, [np.nan, 1.0], [None, 2.0], [1e39, 0.0]], pa.list_(pa.float64(), 2))
    batch = pa.record_batch({"e": given})
    prepared, unreadable = prepare_inputs(batch, [Input("e", "vector[2]")])
    rounded = [float(np.float32(0.1)), 1.0]
    assert prepared.column("e").to_pylist() == [rounded, None, None, None, [np.inf, 0.0]]
    assert unreadable.tolist() == [False, True, True, True, False]
    assert not prepare_inputs(batch, [Input("e", "vector[2]", nullable=True)])[1].any()


def test_job_with_another_length_is_told() -> None:
    check_inputs([Input("e", "vector[3]")], {"e": "vector[3,float64]"})
    with pytest.raises(WrongInputs, match=r"input 'e' is a column of type vector\[4\]; expected: vector\[3\]"):
        check_inputs([Input("e", "vector[3]")], {"e": "vector[4]"})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"type": "vector[70000]"}, r"inputs\[0\].type: .*n up to 65536"),
        ({"type": "vector[3,float16]"}, r"inputs\[0\].type: 'vector\[3,float16\]' is not allowed; expected: number, "),
        (
            {"type": "vector[3]", "default": 0},
            r"inputs\[0\].default: 0 is not allowed; expected: null: a vector has",
        ),
    ],
)
def test_manifests_with_other_vectors_are_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidManifest, match=says):
        write_bundle(tmp_path, document("onnx", inputs=[{"name": "e", **changes}]))


def saved_model(folder: Path, shapes: dict[str, list[int | None]], dtype: str = "float32") -> None:
    """A SavedModel whose score is the weighted sum of all numbers of a row."""
    import tensorflow as tf

    def score(**given: Any) -> Any:
        flat = [tf.reshape(given[name], [tf.shape(given[name])[0], -1]) for name in sorted(given)]
        whole = tf.concat([tf.cast(each, tf.float32) for each in flat], axis=1)
        return {"y": tf.linalg.matvec(whole, tf.constant(np.resize(WEIGHTS, 12 if len(shapes) == 1 else 13)))}

    specs = {name: tf.TensorSpec(shape, dtype, name=name) for name, shape in shapes.items()}
    model = tf.Module()
    model.score = tf.function(score).get_concrete_function(**specs)
    tf.saved_model.save(model, str(folder), signatures=model.score)


@pytest.mark.parametrize("shape", [[None, 12], [None, 3, 4, 1], [None, None]])
@pytest.mark.parametrize("name", ["pixels", "embedding"])
def test_tensorflow_takes_a_vector_of_as_many_numbers(tmp_path: Path, shape: list[int | None], name: str) -> None:
    saved_model(tmp_path, {"pixels": shape})
    scorer = loaded(tmp_path, "tensorflow", [{"name": name, "type": "vector[12]"}])
    assert np.allclose(scorer.score(pa.record_batch({name: of_rows(ROWS)})), ROWS @ WEIGHTS, atol=1e-4)


def test_tensorflow_takes_vectors_beside_other_inputs(tmp_path: Path) -> None:
    saved_model(tmp_path, {"age": [None, 1], "pixels": [None, 12]})
    inputs = [{"name": "pixels", "type": "vector[12,float64]"}, {"name": "age", "type": "number"}]
    batch = pa.record_batch({"pixels": of_rows(ROWS.astype(np.float64)), "age": np.arange(64.0)})
    both = np.column_stack([np.arange(64), ROWS]).astype(np.float32)
    assert np.allclose(loaded(tmp_path, "tensorflow", inputs).score(batch), both @ np.resize(WEIGHTS, 13), atol=1e-3)


def test_tensors_of_tensorflow_that_do_not_hold_a_vector_are_refused(tmp_path: Path) -> None:
    saved_model(tmp_path, {"pixels": [None, 3, 4]})
    with pytest.raises(
        WillNotLoad, match=r"'pixels' is a vector\[11\], its tensor has the shape \(None, 3, 4\); .*\[12\]"
    ):
        loaded(tmp_path, "tensorflow", [{"name": "pixels", "type": "vector[11]"}])
    with pytest.raises(WillNotLoad, match=r"inputs e vector\[11\]; allowed by the signature's 'pixels'"):
        loaded(tmp_path, "tensorflow", [{"name": "e", "type": "vector[11]"}])


def test_servers_are_sent_vectors_as_tensors(tmp_path: Path) -> None:
    inputs = [{"name": "age", "type": "integer"}, {"name": "pixels", "type": "vector[12]"}]
    manifest = write_bundle(tmp_path, document("tfserving", inputs=inputs, **REGRESSION))
    batch = pa.record_batch({"age": pa.array(range(64)), "pixels": of_rows(ROWS)})
    address = parse_address("http://localhost:1", ["http"])
    named = Feed(manifest, Parameters(address=address, feed="named", rank=2), {}).tensors(batch)
    assert [(each.datatype, each.values.shape) for each in named] == [("INT64", (64, 1)), ("FP32", (64, 12))]
    assert np.shares_memory(named[1].values, ROWS)
    [matrix] = Feed(manifest, Parameters(address=address, input="x"), {}).tensors(batch)
    assert matrix.values.tolist() == np.column_stack([np.arange(64, dtype=np.float32), ROWS]).tolist()
    declared = Feed(manifest, Parameters(address=address, feed="named"), {"age": "INT64", "pixels": "FP64"})
    assert declared.tensors(batch)[1].values.dtype == np.float64
    with pytest.raises(WillNotLoad, match=r"'pixels' is a vector\[12\], its tensor takes INT64; allowed: FP32, FP64"):
        Feed(manifest, Parameters(address=address, feed="named"), {"age": "INT64", "pixels": "INT64"})


def test_sagemaker_is_sent_the_numbers_of_a_vector_in_turn() -> None:
    batch = pa.record_batch({"age": pa.array([2**53 + 1, None]), "e": of_rows(np.array([[0.5, 1.5], [2.5, np.pi]]))})
    assert rows_sent(batch) == [(2**53 + 1, 0.5, 1.5), (None, 2.5, np.pi)]
