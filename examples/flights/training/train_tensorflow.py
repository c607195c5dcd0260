"""Version 3: a small neural network as a SavedModel. TensorFlow is imported when the trainer is called."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from examples.flights.training.fitting import NUMBERS, SEED, Fitted, inputs_of
from examples.flights.training_set import late_mask
from models.bundles.inputs import as_matrix

_NETWORK = {"units": 32, "layers": 2, "epochs": 3, "batch_size": 512, "learning_rate": 0.002}


def train_tensorflow(rows: pa.Table, folder: Path) -> Fitted:
    """Writes a SavedModel to `folder/model` that takes each input by name and does all preparation in its graph."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(SEED)
    numbers = as_matrix(inputs_of(rows, NUMBERS))
    means, scales = np.nanmean(numbers, axis=0), np.nanstd(numbers, axis=0)
    scales = np.where(scales > 0, scales, 1.0)
    carriers = sorted(set(rows["carrier"].to_pylist()))
    shared = _Preparation(tf, means, scales, carriers)
    features = shared(tf.constant(numbers, tf.float32), tf.constant(rows["carrier"].to_pylist()))
    hidden = [keras.layers.Dense(_NETWORK["units"], activation="relu") for _ in range(int(_NETWORK["layers"]))]
    network = keras.Sequential([*hidden, keras.layers.Dense(1, activation="sigmoid")])
    network.compile(optimizer=keras.optimizers.Adam(_NETWORK["learning_rate"]), loss="binary_crossentropy")
    network.fit(
        features.numpy(), late_mask(rows), epochs=_NETWORK["epochs"], batch_size=_NETWORK["batch_size"], verbose=0
    )
    _save(tf, network, shared, folder / "model")
    # A SavedModel names no classes: its one number is the probability of the second of these.
    return Fitted("tensorflow", _NETWORK, parameters={"classes": ["not late", "late"]})


class _Preparation:
    """Standardised numbers (NaN is the mean) beside one-hot carriers, in TensorFlow operations."""

    def __init__(self, tf: Any, means: Any, scales: Any, carriers: list[str]) -> None:
        self._tf = tf
        self._means, self._scales = means.astype(np.float32), scales.astype(np.float32)
        self._carriers = carriers

    def __call__(self, numbers: Any, carrier: Any) -> Any:
        tf = self._tf
        standard = (numbers - self._means) / self._scales
        known = tf.where(tf.math.is_nan(standard), tf.zeros_like(standard), standard)
        one_hot = tf.cast(carrier[:, tf.newaxis] == tf.constant(self._carriers)[tf.newaxis, :], tf.float32)
        return tf.concat([known, one_hot], axis=1)


def _save(tf: Any, network: Any, preparation: _Preparation, path: Path) -> None:
    module = tf.Module()
    module.network = network  # holds the variables

    def serve(**inputs: Any) -> dict[str, Any]:
        numbers = tf.stack([inputs[name] for name in NUMBERS], axis=1)
        return {"late": network(preparation(numbers, inputs["carrier"]))[:, 0]}

    specs = {name: tf.TensorSpec([None], tf.float32, name=name) for name in NUMBERS}
    specs["carrier"] = tf.TensorSpec([None], tf.string, name="carrier")
    signature = tf.function(serve).get_concrete_function(**specs)
    tf.saved_model.save(module, str(path), signatures={"serving_default": signature})
