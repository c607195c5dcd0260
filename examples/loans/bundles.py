"""From a training set to a published version: trees of LightGBM, with all that a bundle can say of itself."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from sklearn.metrics import log_loss, roc_auc_score

import halflife
from examples.loans.plan import APPROVED, BY, EXPORTED, MODEL, REJECTED, Training
from examples.loans.prepare import OUTCOMES
from models.bundles.folders import manifest_bytes
from models.bundles.manifest import MANIFEST, Manifest
from models.store.store import ModelStore

INPUTS = (
    "car_value",
    "salary_range",
    "debt_to_income_ratio",
    "loan_length",
    "repaid_loan_on_prev_car",
    "size_of_downpayment",
    "driver_tenure",
)
_CATEGORIES = ("salary_range", "size_of_downpayment")
_TREES: Mapping[str, Any] = {"n_estimators": 100, "num_leaves": 31, "learning_rate": 0.1, "random_state": 20180101}
_HELD_OUT = 0.2
_PAYLOAD = "model/model.txt"


REASONS: Mapping[str, Mapping[str, Any]] = {
    "car_value": {"code": "L1", "positive": "the value of the car", "negative": "the value of the car"},
    "salary_range": {"code": "L2", "positive": "the salary", "negative": "the salary"},
    "debt_to_income_ratio": {
        "code": "L3",
        "positive": "little debt for the income",
        "negative": "much debt for the income",
    },
    "loan_length": {"code": "L4", "positive": "how long the loan runs", "negative": "how long the loan runs"},
    "repaid_loan_on_prev_car": {
        "code": "L5",
        "positive": "the loan on the previous car was repaid",
        "negative": "no loan on a previous car was repaid",
    },
    "size_of_downpayment": {"code": "L6", "positive": "the downpayment", "negative": "the downpayment"},
    "driver_tenure": {"code": "L7", "positive": "years of driving", "negative": "years of driving"},
}
"""The words for reasons: what is said of an input that raised the score, and of one that lowered it."""


class NothingToLearn(ValueError):
    """A training set with too few applications, or with one outcome only."""


def read_training_set(folder: Path) -> pd.DataFrame:
    """What `halflife features --labels` wrote, in order of time."""
    rows: pd.DataFrame = pq.read_table(folder).to_pandas()
    return rows.sort_values(["event_time", "event_id"], ignore_index=True)


def publish_version(store: ModelStore, training: Training, rows: pd.DataFrame, data: Path) -> Manifest:
    """Fits on the applications whose outcome was known by `training.until`, and publishes the version. `data`: the
    folder of the files that `rows` come from.

    Raises:
        NothingToLearn: there are none, or all have the same outcome.
    """
    fit_on, held_out = _split(rows, training.until)
    with tempfile.TemporaryDirectory(prefix="halflife-loans-") as name:
        folder = Path(name)
        model = lightgbm.LGBMClassifier(n_jobs=1, verbose=-1, **_TREES).fit(_typed(fit_on, rows), fit_on["label"])
        model.booster_.save_model(folder / "model.txt")
        scores = np.asarray(model.predict_proba(_typed(held_out, rows)))[:, 1]
        fit_on[["event_id", "subject"]].to_parquet(folder / "trained.parquet", index=False)
        published = halflife.publish(
            folder / "model.txt",
            store=store.url,
            name=MODEL,
            version=training.version,
            sample=fit_on[[*INPUTS, "event_time"]],
            output="probability",
            threshold=training.threshold,
            decisions={"positive": APPROVED, "negative": REJECTED},
            reasons=REASONS,
            trained_at=training.until,
            quality=_quality(held_out["label"].to_numpy(), scores, training.threshold),
            code="examples/loans/bundles.py",
            parameters={"label": "repaid within 60 days", "rows": len(fit_on), "synthetic": True},
            hyperparameters=_TREES,
            data=[str(data / name) for name in (*training.files, OUTCOMES)],
            records=folder / "trained.parquet",
            created_by=BY,
            by=BY,
        )
    return store.read_manifest(published.version)


def publish_exported(store: ModelStore, trees: str, golden: str) -> Manifest:
    """A version with the trees of one version and all else of another: its golden records do not fit, so admission
    must refuse it."""
    with tempfile.TemporaryDirectory(prefix="halflife-loans-") as name:
        wrong, folder = (store.fetch(version, Path(name) / version) for version in (trees, golden))
        (folder / _PAYLOAD).write_bytes((wrong / _PAYLOAD).read_bytes())
        document = json.loads((folder / MANIFEST).read_bytes()) | {"version": EXPORTED}
        (folder / MANIFEST).unlink()
        (folder / MANIFEST).write_bytes(manifest_bytes(folder, document))
        halflife.publish(folder, store=store.url, name=MODEL, check=False, by=BY)
    return store.read_manifest(EXPORTED)


def _split(rows: pd.DataFrame, until: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The earlier four fifths to fit on, the later fifth to measure quality on."""
    known = rows[rows["label_time"] < pd.Timestamp(until)]
    if known["label"].nunique() < 2:
        found = f"{len(known)} outcomes were known by {until}, of {known['label'].nunique()} kinds"
        raise NothingToLearn(f"{found}; expected: loans that were repaid, and others")
    cut = int(len(known) * (1 - _HELD_OUT))
    return known.iloc[:cut], known.iloc[cut:]


def _typed(part: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The inputs, texts as the categories of all `rows`, which LightGBM keeps in the model's file."""
    kinds = {name: pd.CategoricalDtype(sorted(rows[name].dropna().unique())) for name in _CATEGORIES}
    typed: pd.DataFrame = part[list(INPUTS)].astype(kinds)
    return typed


def _quality(repaid: Any, scores: Any, threshold: float) -> dict[str, float]:
    approved = scores >= threshold
    return {
        "rows": float(len(repaid)),
        "auc": float(roc_auc_score(repaid, scores)),
        "log_loss": float(log_loss(repaid, scores, labels=[False, True])),
        "approved_share": float(approved.mean()),
        "unpaid_among_approved": float(1 - repaid[approved].mean()) if approved.any() else 0.0,
    }
