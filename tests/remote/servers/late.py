"""The model that the TensorFlow Serving test server holds: fixed weights, so that its answers can be computed."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

WEIGHTS = {"delay": 0.9, "distance": -0.6, "weekend": 0.4}
SCALES = {"delay": 20.0, "distance": 1000.0, "weekend": 1.0}
CARRIERS = {"AA": 0.7, "DL": -0.9}
BIAS = -0.2
# A record with such a delay makes the whole request fail, as an assertion in a graph does.
POISON_DELAY = 1e6
PRIME, SCALE = 1_000_003, 2**20


def expected(batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
    """The probabilities, in float64, of rows with the three numbers and maybe the carrier."""
    rows = batch.to_pylist()
    logits = [
        BIAS
        + sum(weight * row[name] / SCALES[name] for name, weight in WEIGHTS.items())
        + CARRIERS.get(row.get("carrier", ""), 0.0)
        for row in rows
    ]
    probabilities: npt.NDArray[np.float64] = 1 / (1 + np.exp(-np.array(logits)))
    return probabilities


def bits(
    pixels: npt.NDArray[np.float32], embedding: npt.NDArray[np.float64], age: npt.NDArray[np.int64]
) -> list[float]:
    """What the model of vectors answers to (n, 12) singles, (n, 4) doubles and n whole numbers: every bit counts."""
    singles = pixels.view(np.int32).astype(np.int64) * np.arange(1, 13)
    doubles = embedding.view(np.int64) % PRIME * np.arange(1, 5)
    mixed = singles.sum(1) + doubles.sum(1) + age % PRIME
    found: list[float] = (mixed % PRIME / SCALE).tolist()
    return found
