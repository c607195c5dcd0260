"""What each scorer computes, and what it refuses, beyond the contract that all share."""

import pickle
from dataclasses import replace
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from models import scorers
from models.bundles.inputs import as_matrix, prepare_inputs
from models.bundles.manifest import Input, Manifest, Output
from models.scorers import UnknownScorer, WillNotLoad, load_scorer
from models.scorers.sklearn.scorer import SklearnScorer
from tests.models.bundle_folders import (
    INPUTS,
    LINEAR,
    NUMBERS,
    document,
    flights,
    sklearn_frame,
    sklearn_matrix,
    tensorflow_matrix,
    tensorflow_named,
    write_bundle,
)


class Evil:
    """Its pickle runs code when it is opened."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.target,))


def scores_of(folder: Path, manifest: Manifest, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
    scorer = load_scorer(manifest.scorer, folder, manifest)
    return scorer.score(prepare_inputs(batch, manifest.inputs)[0])


def test_linear_follows_its_formula(tmp_path: Path) -> None:
    manifest = write_bundle(tmp_path, document())
    batch = flights(50)
    expected = []
    for row in batch.to_pylist():
        z = -1.0 + 0.8 * (row["delay"] - 10) / 20 - 0.2 * (row["distance"] - 900) / 400
        z += 0.5 * row["weekend"] + {"AA": 0.3, "DL": -0.7}.get(row["carrier"], 0.0)
        expected.append(1 / (1 + np.exp(-z)))
    np.testing.assert_allclose(scores_of(tmp_path, manifest, batch), expected, rtol=1e-12)


def test_linear_null_number_counts_as_its_mean(tmp_path: Path) -> None:
    inputs = [{"name": "delay", "type": "number", "nullable": True}]
    terms = {
        **LINEAR,
        "coefficients": {"delay": 0.8},
        "scales": {},
        "means": {"delay": 10.0},
        "categories": {},
    }
    manifest = write_bundle(tmp_path, document(inputs=inputs, linear=terms))
    batch = pa.RecordBatch.from_pydict({"delay": pa.array([None, 10.0], pa.float64())})
    first, second = scores_of(tmp_path, manifest, batch)
    assert first == second


def test_linear_extremes_stay_probabilities(tmp_path: Path) -> None:
    terms = {"intercept": 0, "coefficients": {"delay": 1}}
    manifest = write_bundle(tmp_path, document(inputs=INPUTS[:1], linear=terms))
    batch = pa.RecordBatch.from_pydict({"delay": [-1e300, -700.0, 0.0, 1e300]})
    low, small, half, high = scores_of(tmp_path, manifest, batch)
    assert (low, half, high) == (0.0, 0.5, 1.0)
    assert small == pytest.approx(np.exp(-700.0), rel=1e-9)


def test_linear_identity_is_a_regression(tmp_path: Path) -> None:
    terms = {"intercept": 2, "coefficients": {"delay": 3}, "link": "identity"}
    manifest = write_bundle(tmp_path, document(inputs=INPUTS[:1], linear=terms, output={"kind": "regression"}))
    assert scores_of(tmp_path, manifest, pa.RecordBatch.from_pydict({"delay": [4.0]})).tolist() == [14.0]


def test_sklearn_equals_the_library(tmp_path: Path) -> None:
    import skops.io

    manifest = write_bundle(tmp_path, sklearn_matrix(tmp_path))
    batch, _ = prepare_inputs(flights(40), manifest.inputs)
    expected = skops.io.load(tmp_path / "model.skops").predict_proba(as_matrix(batch))[:, 1]
    np.testing.assert_array_equal(load_scorer("sklearn", tmp_path, manifest).score(batch), expected)


def test_sklearn_positive_class_is_chosen_by_name(tmp_path: Path) -> None:
    manifest = write_bundle(tmp_path, sklearn_frame(tmp_path))
    other = replace(manifest, output=Output("probability", positive="False"))
    batch = flights(20)
    total = scores_of(tmp_path, manifest, batch) + scores_of(tmp_path, other, batch)
    np.testing.assert_allclose(total, 1.0)
    with pytest.raises(WillNotLoad, match=r"positive 'maybe'; allowed: False, True"):
        load_scorer("sklearn", tmp_path, replace(manifest, output=Output("probability", positive="maybe")))


def test_sklearn_class_labels_become_numbers(tmp_path: Path) -> None:
    import skops.io
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier().fit([[0.0], [1.0], [2.0]], ["early", "late", "on time"])
    skops.io.dump(tree, tmp_path / "model.skops")
    manifest = write_bundle(tmp_path, document("sklearn", inputs=INPUTS[:1], output={"kind": "class"}))
    batch = pa.RecordBatch.from_pydict({"delay": [2.0, 0.0, 1.0]})
    assert scores_of(tmp_path, manifest, batch).tolist() == [2.0, 0.0, 1.0]


def test_sklearn_refuses_other_inputs_than_fitted(tmp_path: Path) -> None:
    manifest = write_bundle(tmp_path, sklearn_matrix(tmp_path))
    with pytest.raises(WillNotLoad, match="2 inputs; expected: 3"):
        load_scorer("sklearn", tmp_path, replace(manifest, inputs=manifest.inputs[:2]))
    framed = write_bundle(tmp_path / "frame", sklearn_frame(tmp_path / "frame"))
    with pytest.raises(WillNotLoad, match="expected: the fitted delay, distance, weekend, carrier"):
        load_scorer("sklearn", tmp_path / "frame", replace(framed, inputs=manifest.inputs))


def test_sklearn_names_the_types_it_does_not_trust(tmp_path: Path) -> None:
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    skops.io.dump(FunctionTransformer(np.save), tmp_path / "model.skops")
    manifest = write_bundle(tmp_path, document("sklearn", output={"kind": "regression"}))
    with pytest.raises(WillNotLoad, match=r"untrusted types numpy\.\S*save"):
        load_scorer("sklearn", tmp_path, manifest)


@pytest.mark.parametrize("name", ["model.pkl", "model.pickle", "model.joblib"])
def test_pickle_is_never_opened_unless_allowed(tmp_path: Path, name: str) -> None:
    target = tmp_path / "ran"
    (tmp_path / name).write_bytes(pickle.dumps(Evil(target)))
    manifest = write_bundle(tmp_path, document("sklearn"))
    with pytest.raises(WillNotLoad, match="pickle"):
        load_scorer("sklearn", tmp_path, manifest)
    assert not target.exists()
    with pytest.raises(WillNotLoad):
        load_scorer("sklearn", tmp_path, manifest, allow_pickle=True)
    assert target.exists()


def test_allowed_pickle_scores(tmp_path: Path) -> None:
    from sklearn.linear_model import LinearRegression

    (tmp_path / "model.pkl").write_bytes(pickle.dumps(LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0])))
    manifest = write_bundle(tmp_path, document("sklearn", inputs=INPUTS[:1], output={"kind": "regression"}))
    scorer = SklearnScorer.load_trusting_pickles(tmp_path, manifest)
    np.testing.assert_allclose(scorer.score(pa.RecordBatch.from_pydict({"delay": [2.0]})), [5.0])


def test_tensorflow_equals_the_signature(tmp_path: Path) -> None:
    import tensorflow as tf

    manifest = write_bundle(tmp_path, tensorflow_named(tmp_path))
    batch = flights(32)  # these fill whole registers: the scorer adds no row
    serve = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"]
    types = serve.structured_input_signature[1]
    feeds = {name: tf.constant(batch.column(name).to_pylist(), types[name].dtype) for name in types}
    np.testing.assert_array_equal(scores_of(tmp_path, manifest, batch), serve(**feeds)["score"].numpy())


def test_tensorflow_refuses_inputs_that_its_signature_does_not_take(tmp_path: Path) -> None:
    manifest = write_bundle(tmp_path, tensorflow_matrix(tmp_path))
    with pytest.raises(WillNotLoad, match="2 inputs; allowed by the signature"):
        load_scorer("tensorflow", tmp_path, replace(manifest, inputs=manifest.inputs[:2]))
    named = write_bundle(tmp_path / "named", tensorflow_named(tmp_path / "named"))
    with pytest.raises(WillNotLoad, match="expected: carrier, delay, distance, weekend, or one float matrix"):
        load_scorer("tensorflow", tmp_path / "named", replace(named, inputs=manifest.inputs))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (Input("distance", "number"), "'distance' is a number for a tensor of int64; allowed: integer, boolean"),
        (
            Input("distance", "integer", nullable=True),
            "'distance' may be null, and a tensor of int64 has no null",
        ),
        (Input("distance", "string"), "'distance' is a string"),
    ],
)
def test_tensorflow_refuses_types_that_lose_values(tmp_path: Path, change: Input, message: str) -> None:
    manifest = write_bundle(tmp_path, tensorflow_named(tmp_path))
    inputs = tuple(change if entry.name == change.name else entry for entry in manifest.inputs)
    with pytest.raises(WillNotLoad, match=message):
        load_scorer("tensorflow", tmp_path, replace(manifest, inputs=inputs))


def test_tensorflow_graph_that_writes_files_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    class Writer(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32)])  # type: ignore[untyped-decorator]
        def serve(self, x: Any) -> Any:
            tf.io.write_file(str(tmp_path / "written"), "x")
            return tf.reduce_sum(x, axis=1)

    writer = Writer()
    tf.saved_model.save(writer, str(tmp_path / "model"), signatures=writer.serve)
    manifest = write_bundle(tmp_path / "model", document("tensorflow", inputs=NUMBERS))
    with pytest.raises(WillNotLoad, match="operations WriteFile"):
        load_scorer("tensorflow", tmp_path / "model", manifest)


def test_unknown_kind_says_what_is_installed(tmp_path: Path) -> None:
    manifest = write_bundle(tmp_path, document("fortran"))
    with pytest.raises(UnknownScorer, match=r"'fortran' is not installed; allowed: .*linear, .*sklearn, .*tensorflow"):
        load_scorer("fortran", tmp_path, manifest)


@pytest.mark.parametrize("location", ["no.such:Scorer", "json:Missing", "json:JSONDecoder"])
def test_entry_point_that_is_no_scorer_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, location: str
) -> None:
    point = EntryPoint("plugin", location, scorers.GROUP)
    monkeypatch.setattr(scorers, "entry_points", lambda **_: EntryPoints([point]))
    with pytest.raises(UnknownScorer, match="'plugin'"):
        load_scorer("plugin", tmp_path, write_bundle(tmp_path, document("plugin")))


def test_installed_entry_point_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    point = EntryPoint("plugin", scorers.BUILT_IN["linear"], scorers.GROUP)
    monkeypatch.setattr(scorers, "entry_points", lambda **_: EntryPoints([point]))
    manifest = replace(write_bundle(tmp_path, document()), scorer="plugin")
    assert scorers.installed_kinds() == sorted({*scorers.BUILT_IN, "plugin"})
    assert load_scorer("plugin", tmp_path, manifest).kind == "linear"


def test_scorer_without_its_library_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(SklearnScorer, "requires", ("no_such_library",))
    with pytest.raises(UnknownScorer, match=r"needs no_such_library; next: pip install 'halflife-beam\[sklearn\]'"):
        load_scorer("sklearn", tmp_path, write_bundle(tmp_path, document("sklearn")))
