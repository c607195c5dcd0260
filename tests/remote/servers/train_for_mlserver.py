"""Runs in MLServer's environment: trains a classifier of three numbers, and writes what it is made of."""

import json
import sys
from pathlib import Path

import joblib  # type: ignore[import-untyped]  # ships no types
import numpy as np
from mlserver.grpc import dataplane_pb2  # type: ignore[import-not-found]  # only in that environment
from sklearn.linear_model import LogisticRegression

from tests.remote.servers.published import fields_of

folder = Path(sys.argv[1])
random = np.random.default_rng(3)
features = np.column_stack(
    (random.normal(10, 20, 400), random.integers(100, 2500, 400), random.random(400) < 0.3)
).astype(np.float64)
truth = features[:, 0] + features[:, 1] / 200 + 5 * features[:, 2] + random.normal(0, 5, 400) > 18
model = LogisticRegression(max_iter=2000).fit(features, truth)
joblib.dump(model, folder / "model.joblib")
made_of = {"weights": model.coef_[0].tolist(), "intercept": float(model.intercept_[0])}
(folder / "made_of.json").write_text(json.dumps(made_of))
(folder / "published.json").write_text(json.dumps(fields_of(dataplane_pb2.DESCRIPTOR)))
