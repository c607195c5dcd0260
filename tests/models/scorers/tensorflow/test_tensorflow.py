"""The contract, for kind tensorflow: a signature with the manifest's names, and one that takes a matrix."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from models.scorers import load_scorer
from models.testing import Sample, contract_tests
from models.testing.subject import write_bundle
from tests.models import bundle_folders as bundles
from tests.models.scorers.samples import delays, sample


def answering_nan(folder: Path) -> Sample:
    import tensorflow as tf

    class Root(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="delay")])  # type: ignore[untyped-decorator]
        def __call__(self, delay: Any) -> Any:
            return {"score": tf.sqrt(-1.0 - tf.abs(delay))}

    model = Root()
    tf.saved_model.save(model, str(folder), signatures=model.__call__)
    return delays("probability", 1.0, 2.0)


test_named = contract_tests(
    "tensorflow", sample(bundles.tensorflow_named), label="tensorflow-named", make_nan=answering_nan
)
test_matrix = contract_tests("tensorflow", sample(bundles.tensorflow_matrix), label="tensorflow-matrix")


def network(folder: Path, columns: int) -> None:
    """Two layers with weights that need every digit of a float32."""
    import tensorflow as tf

    random = np.random.default_rng(0)
    first, second = (random.normal(size=shape).astype(np.float32) for shape in ((columns, 24), (24, 1)))

    class Root(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
        @tf.function(input_signature=[tf.TensorSpec([None, columns], tf.float32)])  # type: ignore[untyped-decorator]
        def __call__(self, rows: Any) -> Any:
            return {"score": tf.sigmoid(tf.matmul(tf.nn.relu(tf.matmul(rows, first)), second))}

    model = Root()
    tf.saved_model.save(model, str(folder), signatures=model.__call__)


def test_a_row_has_the_same_score_in_every_batch(tmp_path: Path) -> None:
    inputs = [{"name": f"x{number}", "type": "number"} for number in range(12)]
    network(tmp_path, len(inputs))
    manifest = write_bundle("tensorflow", tmp_path, bundles.document("tensorflow", inputs=inputs))
    scorer, random = load_scorer("tensorflow", tmp_path, manifest), np.random.default_rng(1)
    rows = pa.RecordBatch.from_pydict({one["name"]: random.normal(size=333) for one in inputs})
    whole = scorer.score(rows)
    for size in (1, 2, 7, 20, 100):
        parts = [scorer.score(rows.slice(start, size)) for start in range(0, rows.num_rows, size)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_answer_with_one_number_for_all_rows_is_returned_unchanged(tmp_path: Path) -> None:
    import tensorflow as tf

    class Root(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
        @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.float32)])  # type: ignore[untyped-decorator]
        def __call__(self, rows: Any) -> Any:
            return {"score": tf.raw_ops.PlaceholderWithDefault(input=tf.reduce_mean(rows), shape=None)}  # of any rank

    model = Root()
    tf.saved_model.save(model, str(tmp_path), signatures=model.__call__)
    inputs = [{"name": "x", "type": "number"}]
    manifest = write_bundle("tensorflow", tmp_path, bundles.document("tensorflow", inputs=inputs))
    answer = load_scorer("tensorflow", tmp_path, manifest).score(pa.RecordBatch.from_pydict({"x": [1.0, 3.0]}))
    assert answer.shape == ()
