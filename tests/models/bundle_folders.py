"""Small real bundles for tests: models trained on made-up flights, written as folders with a manifest."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bundles.folders import file_sha256, payload_paths
from models.bundles.manifest import MANIFEST, Manifest, parse_manifest
from models.scorers import load_scorer

INPUTS: list[dict[str, Any]] = [
    {"name": "delay", "type": "number", "nullable": True, "default": 5.0},
    {"name": "distance", "type": "integer"},
    {"name": "weekend", "type": "boolean"},
    {"name": "carrier", "type": "string"},
]
NUMBERS = INPUTS[:3]
COLUMNS = {"delay": "number", "distance": "integer", "weekend": "boolean", "carrier": "string"}
LINEAR = {
    "intercept": -1.0,
    "coefficients": {"delay": 0.8, "distance": -0.2, "weekend": 0.5},
    "means": {"delay": 10.0, "distance": 900.0},
    "scales": {"delay": 20.0, "distance": 400.0},
    "categories": {"carrier": {"AA": 0.3, "DL": -0.7}},
}


def flights(rows: int, seed: int = 7) -> pa.RecordBatch:
    """Rows with the columns of INPUTS."""
    random = np.random.default_rng(seed)
    return pa.RecordBatch.from_pydict(
        {
            "delay": random.normal(10, 20, rows),
            "distance": random.integers(100, 2500, rows),
            "weekend": random.random(rows) < 0.3,
            "carrier": random.choice(["AA", "DL", "UA"], rows).tolist(),
        }
    )


def document(scorer: str = "linear", **changes: Any) -> dict[str, Any]:
    """A manifest's document without files; a change to None removes the key."""
    base: dict[str, Any] = {
        "model": "late",
        "version": "v1",
        "scorer": scorer,
        "inputs": INPUTS,
        "output": {"kind": "probability"},
        "training": {"trained_at": "2013-03-01T00:00:00Z"},
        "created_by": "tests",
    }
    if scorer == "linear":
        base["linear"] = LINEAR
    return {key: value for key, value in {**base, **changes}.items() if value is not None}


def write_bundle(folder: Path, manifest: Mapping[str, Any]) -> Manifest:
    """Put the manifest, with its files hashed, into the folder of the payload."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {path: file_sha256(folder / path) for path in payload_paths(folder)}
    raw = json.dumps({"files": files, **manifest}).encode()
    (folder / MANIFEST).write_bytes(raw)
    return parse_manifest(raw)


def with_golden(folder: Path, manifest: dict[str, Any], shift: float = 0.0) -> dict[str, Any]:
    """Record what the bundle's own model answers, plus `shift`, as its golden records."""
    parsed = write_bundle(folder, manifest)
    batch = flights(5, seed=1).select([entry.name for entry in parsed.inputs])
    scores = load_scorer(parsed.scorer, folder, parsed).score(batch)
    rows = zip(batch.to_pylist(), scores, strict=True)
    lines = [json.dumps({"inputs": inputs, "score": score + shift}) for inputs, score in rows]
    (folder / "golden.jsonl").write_text("\n".join(lines))
    return {**manifest, "golden": {"file": "golden.jsonl", "tolerance": 1e-6}}


def labels(batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    rows = batch.to_pandas()
    late = rows.delay + 10 * (rows.carrier == "UA") + rows.distance / 200 > 18
    return np.asarray(late, dtype=np.bool_)


def linear(folder: Path) -> dict[str, Any]:
    """Coefficients in the manifest, no payload."""
    return document("linear")


def sklearn_frame(folder: Path) -> dict[str, Any]:
    """A pipeline fitted on a DataFrame with a string column."""
    import skops.io
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = make_column_transformer((encoder, ["carrier"]), remainder="passthrough")
    pipeline = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=5))
    batch = flights(300)
    pipeline.fit(batch.to_pandas(), labels(batch))
    folder.mkdir(parents=True, exist_ok=True)
    skops.io.dump(pipeline, folder / "model.skops")
    return document("sklearn")


def sklearn_matrix(folder: Path) -> dict[str, Any]:
    """A regression fitted on a matrix."""
    import skops.io
    from sklearn.linear_model import LogisticRegression

    batch = flights(300)
    features = batch.to_pandas()[[entry["name"] for entry in NUMBERS]].to_numpy(np.float64)
    folder.mkdir(parents=True, exist_ok=True)
    skops.io.dump(LogisticRegression().fit(features, labels(batch)), folder / "model.skops")
    return document("sklearn", inputs=NUMBERS)


def tensorflow_named(folder: Path) -> dict[str, Any]:
    """A module trained by gradient descent whose signature has the manifest's names, one of them a string."""
    import tensorflow as tf

    class Late(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable([0.0, 0.0, 0.0, 0.0])
            keys = tf.lookup.KeyValueTensorInitializer(["AA", "DL"], [1.0, -1.0])
            self.carriers = tf.lookup.StaticHashTable(keys, 0.0)

        def __call__(self, delay: Any, distance: Any, weekend: Any, carrier: Any) -> Any:
            wide = [delay / 20.0, tf.cast(distance, tf.float32) / 1000.0, tf.cast(weekend, tf.float32)]
            features = tf.stack([*wide, self.carriers.lookup(carrier)], axis=1)
            return tf.sigmoid(tf.linalg.matvec(features, self.weights))

    types = {"delay": tf.float32, "distance": tf.int64, "weekend": tf.bool, "carrier": tf.string}
    model, batch = Late(), flights(300)
    feeds = {name: tf.constant(batch.column(name).to_pylist(), kind) for name, kind in types.items()}
    truth = tf.constant(labels(batch), tf.float32)
    for _ in range(20):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(**feeds) - truth) ** 2)
        model.weights.assign_sub(tape.gradient(loss, model.weights))
    specs = {name: tf.TensorSpec([None], kind, name=name) for name, kind in types.items()}
    serve = tf.function(lambda **named: {"score": model(**named)}).get_concrete_function(**specs)
    tf.saved_model.save(model, str(folder / "model"), signatures={"serving_default": serve})
    return document("tensorflow")


def tensorflow_matrix(folder: Path) -> dict[str, Any]:
    """A Keras model that takes one float matrix."""
    import tensorflow as tf

    batch = flights(300)
    features = batch.to_pandas()[[entry["name"] for entry in NUMBERS]].to_numpy(np.float32)
    keras = tf.keras
    model = keras.Sequential(
        [keras.layers.Input((3,)), keras.layers.Rescaling(1e-3), keras.layers.Dense(1, activation="sigmoid")]
    )
    model.compile(optimizer="sgd", loss="binary_crossentropy")
    model.fit(features, labels(batch).astype(np.float32), epochs=1, verbose=0)
    model.export(str(folder), verbose=False)
    return document("tensorflow", inputs=NUMBERS)
