"""The contract, for kind tensorflow: a signature with the manifest's names, and one that takes a matrix."""

from pathlib import Path
from typing import Any

from models.testing import Sample, contract_tests
from tests.scorers.samples import delays, sample
from tests.unit.models import bundles


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
