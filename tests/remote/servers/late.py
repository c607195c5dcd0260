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
