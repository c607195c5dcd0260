"""Kind onnx: the contract on models of scikit-learn and hand-made graphs, and what it refuses beyond it."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.scorers import Scorer, WillNotLoad, load_scorer
from models.testing import Sample, contract_tests
from models.testing.subject import write_bundle
from tests.models.bundle_folders import INPUTS, NUMBERS, document
from tests.models.scorers.samples import delays, frame, late, prepared, sample

NULLABLE = [{**NUMBERS[0], "default": None}, *NUMBERS[1:]]
TYPES = {"delay": "float", "distance": "int64", "weekend": "bool", "carrier": "string"}


def classifier(names: list[str] | None = None) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    truth = late() if names is None else np.array(names)[late().astype(int)]
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(frame(strings=False).to_numpy(), truth)


def convert(folder: Path, model: Any, types: Any, **options: Any) -> Any:
    """The fitted model as model.onnx; its own options apply to the classifier at its end."""
    from skl2onnx import convert_sklearn

    chosen = {id(model.steps[-1][1]): options} if options else None
    made = convert_sklearn(model, initial_types=types, options=chosen, target_opset=17)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(made.SerializeToString())
    return made


def matrix_of(rows: int | None, kind: str = "Float") -> Any:
    from skl2onnx.common import data_types

    return [("features", getattr(data_types, f"{kind}TensorType")([rows, 3]))]


def maps(folder: Path) -> dict[str, Any]:
    convert(folder, classifier(["early", "late"]), matrix_of(None))
    return document("onnx", inputs=NUMBERS, output={"kind": "probability", "positive": "late"})


def fixed(folder: Path) -> dict[str, Any]:
    convert(folder, classifier(), matrix_of(7, "Double"), zipmap=False)
    return document("onnx", inputs=NUMBERS)


def one_by_one(folder: Path) -> dict[str, Any]:
    convert(folder, classifier(), matrix_of(1), zipmap=False)
    return document("onnx", inputs=NUMBERS)


def labels_only(folder: Path) -> dict[str, Any]:
    from onnx import utils

    convert(folder, classifier(["early", "late"]), matrix_of(None), zipmap=False)
    utils.extract_model(str(folder / "model.onnx"), str(folder / "labels.onnx"), ["features"], ["label"])
    (folder / "labels.onnx").replace(folder / "model.onnx")
    return document("onnx", inputs=NUMBERS, output={"kind": "class"}, parameters={"classes": ["early", "late"]})


def by_name(folder: Path) -> dict[str, Any]:
    """One input for each column, strings among them, each of its own type."""
    from skl2onnx.common import data_types
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    rows = frame().astype({"carrier": object, "distance": np.int64})
    encoder = make_column_transformer(
        (StandardScaler(), ["delay"]),
        (StandardScaler(), ["distance", "weekend"]),
        (OneHotEncoder(handle_unknown="ignore"), ["carrier"]),
    )
    model = make_pipeline(encoder, LogisticRegression()).fit(rows[["delay", "distance", "weekend", "carrier"]], late())
    tensors = {"delay": "Float", "distance": "Int64", "weekend": "Int64", "carrier": "String"}
    types = [(name, getattr(data_types, f"{kind}TensorType")([None, 1])) for name, kind in tensors.items()]
    convert(folder, model, types, zipmap=False)
    return document("onnx", inputs=INPUTS[::-1])


def graph(folder: Path, nodes: list[Any], inputs: dict[str, Any], weights: Any = (), output: str = "float") -> Any:
    """A hand-made graph with these (name → (type, shape)) and the output `score`."""
    from onnx import TensorProto, helper

    given = [
        helper.make_tensor_value_info(name, getattr(TensorProto, kind.upper()), shape)
        for name, (kind, shape) in inputs.items()
    ]
    answer = helper.make_tensor_value_info("score", getattr(TensorProto, output.upper()), None)
    made = helper.make_model(
        helper.make_graph(nodes, "hand_made", given, [answer], list(weights)),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(made.SerializeToString())
    return made


def answering_nan(folder: Path) -> Sample:
    from onnx import helper

    graph(folder, [helper.make_node("Log", ["delay"], ["score"])], {"delay": ("float", [None])})
    return delays("regression", -1.0, -2.0)


test_maps = contract_tests("onnx", sample(maps), label="onnx-maps", make_nan=answering_nan)
test_fixed = contract_tests("onnx", sample(fixed), label="onnx-fixed-batch")
test_one_by_one = contract_tests("onnx", sample(one_by_one), label="onnx-batch-of-one")
test_labels_only = contract_tests("onnx", sample(labels_only), label="onnx-labels-only")
test_by_name = contract_tests("onnx", sample(by_name), label="onnx-by-name")


def loaded(folder: Path, inputs: Any = NUMBERS, **changes: Any) -> Scorer:
    return load_scorer("onnx", folder, write_bundle("onnx", folder, document("onnx", inputs=inputs, **changes)))


@pytest.mark.parametrize("kind", ["Float", "Double"])
def test_scores_equal_scikit_learn(tmp_path: Path, kind: str) -> None:
    model = classifier()
    convert(tmp_path, model, matrix_of(None, kind), zipmap=False)
    expected = model.predict_proba(frame(30, strings=False).to_numpy())[:, 1]
    np.testing.assert_allclose(loaded(tmp_path).score(prepared(NUMBERS, 30)), expected, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 6, 7, 8, 21])
def test_fixed_batch_scores_as_a_free_one(tmp_path: Path, rows: int) -> None:
    convert(tmp_path / "free", classifier(), matrix_of(None), zipmap=False)
    convert(tmp_path / "fixed", classifier(), matrix_of(7), zipmap=False)
    batch = prepared(NUMBERS, rows)
    np.testing.assert_allclose(
        loaded(tmp_path / "fixed").score(batch), loaded(tmp_path / "free").score(batch), atol=1e-6
    )


def test_labels_become_their_indexes_in_classes(tmp_path: Path) -> None:
    document_of = labels_only(tmp_path)
    expected = classifier().predict(frame(30, strings=False).to_numpy())
    manifest = write_bundle("onnx", tmp_path, document_of)
    found = load_scorer("onnx", tmp_path, manifest).score(prepared(NUMBERS, 30))
    np.testing.assert_array_equal(found, expected)


def test_labels_that_are_integers_are_the_class(tmp_path: Path) -> None:
    convert(tmp_path, classifier(), matrix_of(None))
    expected = classifier().predict(frame(30, strings=False).to_numpy())
    found = loaded(tmp_path, output={"kind": "class"}).score(prepared(NUMBERS, 30))
    np.testing.assert_array_equal(found, expected)


def test_one_of_several_outputs_is_named(tmp_path: Path) -> None:
    convert(tmp_path, classifier(), matrix_of(None), zipmap="columns")
    with pytest.raises(WillNotLoad, match=r"i0 tensor\(float\), i1 tensor\(float\); allowed for a probability"):
        loaded(tmp_path)
    expected = classifier().predict_proba(frame(9, strings=False).to_numpy())[:, 1]
    found = loaded(tmp_path, parameters={"output": "i1"}).score(prepared(NUMBERS, 9))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_null_is_nan_to_the_model(tmp_path: Path) -> None:
    from onnx import helper

    nodes = [
        helper.make_node("IsNaN", ["delay"], ["absent"]),
        helper.make_node("Cast", ["absent"], ["score"], to=1),
    ]
    graph(tmp_path, nodes, {"delay": ("float", [None, 1])})
    scorer = loaded(tmp_path, NULLABLE[:1], output={"kind": "regression"})
    batch = pa.RecordBatch.from_pydict({"delay": pa.array([1.0, None], pa.float64())})
    assert scorer.score(batch).tolist() == [0.0, 1.0]


def test_integers_keep_their_digits(tmp_path: Path) -> None:
    from onnx import helper

    nodes = [helper.make_node("Cast", ["distance"], ["score"], to=11)]
    graph(tmp_path, nodes, {"distance": ("int64", [None])}, output="double")
    scorer = loaded(tmp_path, [INPUTS[1]], output={"kind": "regression"})
    assert scorer.score(pa.RecordBatch.from_pydict({"distance": [2**24 + 1, 2**52 + 1]})).tolist() == [
        2**24 + 1,
        2**52 + 1,
    ]


def test_integer_that_32_bits_do_not_hold_is_an_error(tmp_path: Path) -> None:
    from onnx import helper

    nodes = [helper.make_node("Cast", ["distance"], ["score"], to=1)]
    graph(tmp_path, nodes, {"distance": ("int32", [None])})
    scorer = loaded(tmp_path, [INPUTS[1]], output={"kind": "regression"})
    with pytest.raises(pa.ArrowInvalid, match="not in range"):
        scorer.score(pa.RecordBatch.from_pydict({"distance": [2**31]}))


@pytest.mark.parametrize(
    ("location", "message"),
    [("weights.bin", None), ("../weights.bin", "escapes"), ("/etc/hostname", "Absolute"), ("none.bin", "not exist")],
)
def test_weights_are_read_inside_the_bundle_only(tmp_path: Path, location: str, message: str | None) -> None:
    from onnx import TensorProto, helper

    weights = helper.make_tensor("weights", TensorProto.FLOAT, [3, 1], np.ones(3, np.float32).tobytes(), raw=True)
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "12")):
        entry = weights.external_data.add()
        entry.key, entry.value = key, value
    nodes = [helper.make_node("MatMul", ["features", "weights"], ["score"])]
    graph(tmp_path / "bundle", nodes, {"features": ("float", [None, 3])}, [weights])
    for folder in (tmp_path, tmp_path / "bundle"):
        (folder / "weights.bin").write_bytes(np.ones(3, np.float32).tobytes())
    regression = {"output": {"kind": "regression"}}
    if message is None:
        assert loaded(tmp_path / "bundle", **regression).score(prepared(NUMBERS, 2)).shape == (2,)
        return
    with pytest.raises(WillNotLoad, match=message):
        loaded(tmp_path / "bundle", **regression)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": NUMBERS[:2]}, r"2 inputs; expected: features tensor\(float\) \[None, 3\]"),
        ({"inputs": [*NUMBERS[:2], INPUTS[3]]}, r"'carrier' is a string for tensor\(float\); expected: tensor"),
        ({"parameters": {"output": "score"}}, "'score' asked for; allowed for a probability"),
        ({"parameters": {"session": 1}}, "parameter 'session' is unknown; allowed: output, classes"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    convert(tmp_path, classifier(), matrix_of(None))
    with pytest.raises(WillNotLoad, match=message):
        loaded(tmp_path, **changes)


@pytest.mark.parametrize("shape", [[-1, 3, 1], [-1, 1, 3, 1]])
def test_output_that_is_no_row_of_numbers_is_refused(tmp_path: Path, shape: list[int]) -> None:
    from onnx import helper

    nodes = [helper.make_node("Reshape", ["features", "shape"], ["score"])]
    graph(tmp_path, nodes, {"features": ("float", [None, 3])}, [helper.make_tensor("shape", 7, [len(shape)], shape)])
    with pytest.raises(WillNotLoad, match=r"output 'score' of shape .*; expected: \(n,\) or \(n, columns\)"):
        loaded(tmp_path, output={"kind": "regression"})


def test_labels_are_no_probability(tmp_path: Path) -> None:
    labels_only(tmp_path)
    with pytest.raises(WillNotLoad, match=r"outputs label tensor\(string\); allowed for a probability: one of floats"):
        loaded(tmp_path)
