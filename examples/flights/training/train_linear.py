"""Version 1: a logistic regression whose coefficients are in the manifest."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from sklearn.linear_model import LogisticRegression

from examples.flights.training.fitting import NUMBERS, SEED, Fitted, inputs_of
from examples.flights.training_set import late_mask
from models.bundles.inputs import as_matrix

_C = 1.0


def train_linear(rows: pa.Table, folder: Path) -> Fitted:
    """Numbers are standardised, a null counts as the mean; carriers are one-hot. Nothing is written to `folder`."""
    numbers = as_matrix(inputs_of(rows, NUMBERS))
    means, scales = np.nanmean(numbers, axis=0), np.nanstd(numbers, axis=0)
    scales = np.where(scales > 0, scales, 1.0)
    standard = np.nan_to_num((numbers - means) / scales)
    carriers = rows["carrier"].combine_chunks().dictionary_encode()
    one_hot = np.eye(len(carriers.dictionary))[carriers.indices.to_numpy()]
    model = LogisticRegression(C=_C, max_iter=1000, random_state=SEED).fit(
        np.hstack([standard, one_hot]), late_mask(rows)
    )
    weights = model.coef_[0].tolist()
    listed = carriers.dictionary.to_pylist()
    linear = {
        "intercept": float(model.intercept_[0]),
        "coefficients": dict(zip(NUMBERS, weights[: len(NUMBERS)], strict=True)),
        "means": dict(zip(NUMBERS, means.tolist(), strict=True)),
        "scales": dict(zip(NUMBERS, scales.tolist(), strict=True)),
        "categories": {"carrier": dict(sorted(zip(listed, weights[len(NUMBERS) :], strict=True)))},
    }
    return Fitted("linear", {"C": _C, "penalty": "l2"}, linear)
