"""Kind tensorflow: which number of an answer is the score, and through which signature it is asked for."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.scorers import Scorer, WillNotLoad, load_scorer
from models.testing.subject import write_bundle
from tests.models.bundle_folders import document
from tests.pipeline.commands.commands import Models

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROWS = pa.RecordBatch.from_pydict({"a": [-2.0, 0.1, 3.0], "b": [0.5, -1.0, 2.0]})
INPUTS = [{"name": "a", "type": "number"}, {"name": "b", "type": "number"}]
WEIGHTS = np.array([[1.0, -1.0, 0.25], [0.5, 0.5, -2.0]], dtype=np.float32)
LOGITS = np.column_stack([ROWS.column("a"), ROWS.column("b")]).astype(np.float32) @ WEIGHTS


def softmax(columns: int) -> Any:
    powers = np.exp(LOGITS[:, :columns])
    return powers / powers.sum(axis=1, keepdims=True)


def sigmoid() -> Any:
    return 1 / (1 + np.exp(-LOGITS[:, 0]))


def save(folder: Path, *names: str, kept: Any = None, **answers: Callable[[Any], Any]) -> None:
    """A SavedModel on a matrix of two columns, with these outputs, under each name as its signature."""
    import tensorflow as tf

    model = tf.Module()
    model.kept = kept
    model.score = tf.function(lambda x: {name: answer(x) for name, answer in answers.items()}).get_concrete_function(
        tf.TensorSpec([None, 2], tf.float32, name="x")
    )
    tf.saved_model.save(model, str(folder), signatures=dict.fromkeys(names or ("serving_default",), model.score))


def network(kind: str, columns: int) -> Callable[[Any], Any]:
    import tensorflow as tf

    ends = {"softmax": tf.nn.softmax, "sigmoid": tf.nn.sigmoid, "linear": tf.identity}
    return lambda x: ends[kind](tf.matmul(x, tf.constant(WEIGHTS[:, :columns])))


def loaded(folder: Path, output: Mapping[str, Any], /, **parameters: Any) -> Scorer:
    said = document("tensorflow", inputs=INPUTS, output=output, parameters=parameters)
    return load_scorer("tensorflow", folder, write_bundle("tensorflow", folder, said))


def probability(positive: str | None) -> dict[str, Any]:
    return {"kind": "probability"} | ({} if positive is None else {"positive": positive})


@pytest.mark.parametrize(
    ("kind", "columns", "output", "parameters", "truth"),
    [
        ("softmax", 2, probability(None), {}, lambda: softmax(2)[:, 1]),
        ("softmax", 2, probability("0"), {}, lambda: softmax(2)[:, 0]),
        ("softmax", 2, probability("no"), {"classes": ["no", "yes"]}, lambda: softmax(2)[:, 0]),
        ("sigmoid", 1, probability(None), {}, sigmoid),
        ("sigmoid", 1, probability("0"), {}, lambda: 1 - sigmoid()),
        ("sigmoid", 1, probability("no"), {"classes": ["no", "yes"]}, lambda: 1 - sigmoid()),
        ("sigmoid", 1, {"kind": "class"}, {}, lambda: sigmoid() > 0.5),
        ("softmax", 3, probability("2"), {}, lambda: softmax(3)[:, 2]),
        ("softmax", 3, probability("x"), {"classes": ["x", "y", "z"]}, lambda: softmax(3)[:, 0]),
        ("softmax", 3, {"kind": "class"}, {}, lambda: softmax(3).argmax(axis=1)),
        ("linear", 3, {"kind": "regression"}, {"column": 2}, lambda: LOGITS[:, 2]),
        ("linear", 1, {"kind": "regression"}, {}, lambda: LOGITS[:, 0]),
    ],
)
def test_score_is_what_the_manifest_says_of_it(
    tmp_path: Path, kind: str, columns: int, output: dict[str, Any], parameters: dict[str, Any], truth: Any
) -> None:
    save(tmp_path, score=network(kind, columns))
    np.testing.assert_allclose(loaded(tmp_path, output, **parameters).score(ROWS), truth(), rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "columns", "output", "parameters", "message"),
    [
        ("softmax", 2, probability("no-such"), {}, "output.positive 'no-such'; allowed: 0, 1"),
        ("sigmoid", 1, probability("no-such"), {}, "output.positive 'no-such'; allowed: 0, 1"),
        ("softmax", 3, probability(None), {}, "output.positive None; allowed: 0, 1, 2"),
        ("softmax", 3, probability("x"), {"classes": ["x", "y"]}, "3 probabilities; expected: 2, one for each class"),
        ("linear", 3, {"kind": "regression"}, {}, "3 numbers for each row; allowed: one, or parameters.column"),
        ("linear", 3, {"kind": "regression"}, {"column": 3}, "parameters.column 3; allowed: 0 to 2"),
        ("linear", 3, {"kind": "regression"}, {"column": True}, "parameters.column True; expected: an index"),
        ("softmax", 3, probability("1"), {"column": 1}, "parameters.column 1 for class '1'"),
    ],
)
def test_what_does_not_fit_is_refused_when_it_is_loaded(
    tmp_path: Path, kind: str, columns: int, output: dict[str, Any], parameters: dict[str, Any], message: str
) -> None:
    save(tmp_path, score=network(kind, columns))
    with pytest.raises(WillNotLoad, match=message):
        loaded(tmp_path, output, **parameters)


@pytest.mark.parametrize("kind", ["a mean of all rows", "tables", "tables of one number"])
def test_output_that_is_no_row_of_numbers_is_refused_without_golden_records(tmp_path: Path, kind: str) -> None:
    import tensorflow as tf

    answers: dict[str, Callable[[Any], Any]] = {
        "a mean of all rows": tf.reduce_mean,
        "tables": lambda x: tf.stack([x, x], 1),
        "tables of one number": lambda x: tf.reshape(x[:, 0], [-1, 1, 1]),
    }
    save(tmp_path, score=answers[kind])
    with pytest.raises(WillNotLoad, match=r"an output of shape \(.*\); expected: \(n,\) or \(n, columns\)"):
        loaded(tmp_path, {"kind": "regression"})


def test_width_that_the_graph_leaves_open_is_checked_by_a_row(tmp_path: Path) -> None:
    import tensorflow as tf

    columns = tf.Variable([3])

    def answer(x: Any) -> Any:
        return tf.reshape(network("softmax", 3)(x), tf.concat([tf.shape(x)[:1], columns], 0))

    save(tmp_path, kept=columns, score=answer)
    with pytest.raises(WillNotLoad, match=r"output\.positive 'no-such'; allowed: 0, 1, 2"):
        loaded(tmp_path, probability("no-such"))


def test_only_signature_is_used_whatever_its_name(tmp_path: Path) -> None:
    save(tmp_path, "predict", score=network("sigmoid", 1))
    np.testing.assert_allclose(loaded(tmp_path, probability(None)).score(ROWS), sigmoid(), rtol=1e-5)


def test_signature_of_several_is_named(tmp_path: Path) -> None:
    save(tmp_path, "predict", "explain", score=network("sigmoid", 1))
    with pytest.raises(WillNotLoad, match="signatures explain, predict; expected: --setting signature=NAME"):
        loaded(tmp_path, probability(None))
    found = loaded(tmp_path, probability(None), signature="explain").score(ROWS)
    np.testing.assert_allclose(found, sigmoid(), rtol=1e-5)


def test_output_of_several_is_named(tmp_path: Path) -> None:
    save(tmp_path, score=network("sigmoid", 1), logit=network("linear", 1))
    with pytest.raises(WillNotLoad, match="outputs logit, score; expected: one, or --setting output=NAME"):
        loaded(tmp_path, {"kind": "regression"})
    found = loaded(tmp_path, {"kind": "regression"}, output="logit").score(ROWS)
    np.testing.assert_allclose(found, LOGITS[:, 0], rtol=1e-5)


def test_published_through_the_signature_that_is_stated(tmp_path: Path) -> None:
    save(tmp_path / "model", "predict", "explain", score=network("sigmoid", 1))
    (tmp_path / "sample.csv").write_text("a,b\n-2.0,0.5\n0.1,-1.0\n3.0,2.0\n", encoding="utf-8")
    models = Models((tmp_path / "store").as_uri())
    words = (tmp_path / "model", "--output", "probability", "--sample", tmp_path / "sample.csv")
    refused = models("publish", *words, "--version", "v1")
    assert (refused.code, "--setting signature=NAME" in refused.err) == (1, True)
    refused = models("publish", *words, "--version", "v1", "--setting", "signature=explain", "--positive", "no-such")
    assert (refused.code, "output.positive 'no-such'; allowed: 0, 1" in refused.err) == (1, True)
    models.json("publish", *words, "--version", "v1", "--setting", "signature=explain", "--positive", "0")
    assert models.json("check", "v1")["admitted"]


def test_labels_that_are_texts_are_indexes_of_the_classes(tmp_path: Path) -> None:
    import tensorflow as tf

    save(tmp_path, score=lambda x: tf.where(network("linear", 1)(x)[:, 0] > 0, "yes", "no"))
    with pytest.raises(WillNotLoad, match="the answers are texts; expected: for output class, with parameters"):
        loaded(tmp_path, {"kind": "class"})
    found = loaded(tmp_path, {"kind": "class"}, classes=["yes", "no"]).score(ROWS)
    assert found.tolist() == [1.0 if logit <= 0 else 0.0 for logit in LOGITS[:, 0]]


def test_integers_keep_their_value_with_and_without_neighbours_that_are_null(tmp_path: Path) -> None:
    import tensorflow as tf

    model = tf.Module()
    model.score = tf.function(lambda n: {"score": tf.cast(n % 1000, tf.float32)}).get_concrete_function(
        tf.TensorSpec([None], tf.int64, name="n")
    )
    tf.saved_model.save(model, str(tmp_path), signatures=model.score)
    inputs = [{"name": "n", "type": "integer", "nullable": True, "default": 7}]
    said = document("tensorflow", inputs=inputs, output={"kind": "regression"})
    scorer = load_scorer("tensorflow", tmp_path, write_bundle("tensorflow", tmp_path, said))
    rows = pa.RecordBatch.from_pydict({"n": pa.array([2**53 + 1, 2**62 + 3], pa.int64())})
    assert scorer.score(rows).tolist() == [float((2**53 + 1) % 1000), float((2**62 + 3) % 1000)]


def test_integer_beyond_the_tensor_is_an_error(tmp_path: Path) -> None:
    import tensorflow as tf

    model = tf.Module()
    model.score = tf.function(lambda n: {"score": tf.cast(n, tf.float32)}).get_concrete_function(
        tf.TensorSpec([None], tf.int32, name="n")
    )
    tf.saved_model.save(model, str(tmp_path), signatures=model.score)
    said = document("tensorflow", inputs=[{"name": "n", "type": "integer"}], output={"kind": "regression"})
    scorer = load_scorer("tensorflow", tmp_path, write_bundle("tensorflow", tmp_path, said))
    with pytest.raises(pa.ArrowInvalid, match="4294967301"):
        scorer.score(pa.RecordBatch.from_pydict({"n": pa.array([5, 2**32 + 5], pa.int64())}))
