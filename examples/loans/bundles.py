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
from models.bundles.manifest import FORMAT, MANIFEST, Manifest
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
            store=folder / "store",
            name=MODEL,
            version=training.version,
            sample=fit_on[list(INPUTS)],
            output="probability",
            threshold=training.threshold,
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
        bundle = ModelStore(str(folder / "store"), MODEL).fetch(published.version, folder / "bundle")
        return _publish_ready(store, bundle, _with_decisions(_manifest_of(bundle)))


def publish_exported(store: ModelStore, trees: str, golden: str) -> Manifest:
    """A version with the trees of one version and all else of another: its golden records do not fit, so admission
    must refuse it."""
    with tempfile.TemporaryDirectory(prefix="halflife-loans-") as name:
        wrong, folder = (store.fetch(version, Path(name) / version) for version in (trees, golden))
        (folder / _PAYLOAD).write_bytes((wrong / _PAYLOAD).read_bytes())
        return _publish_ready(store, folder, _manifest_of(folder) | {"version": EXPORTED}, check=False)


def _manifest_of(bundle: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((bundle / MANIFEST).read_bytes())
    return found


def _publish_ready(store: ModelStore, bundle: Path, document: dict[str, Any], check: bool = True) -> Manifest:
    (bundle / MANIFEST).unlink()
    (bundle / MANIFEST).write_bytes(manifest_bytes(bundle, document))
    return store.read_manifest(halflife.publish(bundle, store=store.url, name=MODEL, check=check, by=BY).version)


def _with_decisions(document: dict[str, Any]) -> dict[str, Any]:
    decisions = {"positive": APPROVED, "negative": REJECTED}
    return document | {"format": FORMAT, "output": document["output"] | {"decisions": decisions}}


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
