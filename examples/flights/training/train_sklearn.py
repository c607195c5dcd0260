"""Version 2: gradient-boosted trees of scikit-learn, stored by skops."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

from examples.flights.training.fitting import SEED, TEXTS, Fitted, inputs_of
from examples.flights.training_set import late_mask

_TREES = {"max_iter": 60, "learning_rate": 0.15, "max_leaf_nodes": 31, "l2_regularization": 1.0}


def train_sklearn(rows: pa.Table, folder: Path) -> Fitted:
    """Fits on a DataFrame, so the scorer finds its columns by name; writes `model.skops`."""
    encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("texts", encode, list(TEXTS))], remainder="passthrough")
    model = Pipeline([("columns", columns), ("trees", HistGradientBoostingClassifier(random_state=SEED, **_TREES))])
    # Its threads wait for each other after every split: on a busy machine two take many times as long as one.
    with threadpool_limits(1):
        model.fit(inputs_of(rows).to_pandas(), np.where(late_mask(rows), "late", "not late"))
    skops.io.dump(model, folder / "model.skops")
    return Fitted("sklearn", _TREES)
