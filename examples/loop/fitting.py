"""From a training set to the files of a model: trees of LightGBM, for both loops alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from sklearn.metrics import log_loss, roc_auc_score

TREES: Mapping[str, Any] = {"n_estimators": 100, "num_leaves": 15, "learning_rate": 0.05, "random_state": 20180101}
_HELD_OUT = 0.2
_NO_INPUTS = ("event_id", "event_time", "subject", "label", "label_time")


class NothingToLearn(ValueError):
    """A training set with too few events, or with labels of one kind only."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """The files of a model, its quality on the later fifth of its data, and how many events of which times it saw."""

    model: Path
    sample: Path
    records: Path
    quality: dict[str, float]
    rows: int
    first: str
    last: str


def fit(rows: Path, since: str | None, texts: Sequence[str], folder: Path) -> Fitted:
    """Fits on the earlier four fifths of the labelled events, and measures quality on the later fifth.

    Args:
        rows: the folder that `halflife features --labels` wrote.
        since: only events from this time on (RFC 3339); None: all.
        texts: the inputs that are texts.
        folder: where the files go.

    Raises:
        NothingToLearn: there are too few.
    """
    known = pq.read_table(rows).to_pandas().sort_values(["event_time", "event_id"], ignore_index=True)
    if since is not None:
        known = known[known["event_time"] >= pd.Timestamp(since)].reset_index(drop=True)
    cut = int(len(known) * (1 - _HELD_OUT))
    if known["label"][:cut].nunique() < 2 or known["label"][cut:].nunique() < 2:
        raise NothingToLearn(f"{len(known)} labelled events since {since or 'ever'}; expected: labels of both kinds")
    inputs = [name for name in known.columns if name not in _NO_INPUTS]
    kinds = {name: pd.CategoricalDtype(sorted(known[name].dropna().unique())) for name in texts}
    typed, fit_on = known[inputs].astype(kinds), known[:cut]
    trees = lightgbm.LGBMClassifier(n_jobs=2, verbose=-1, **TREES).fit(typed[:cut], fit_on["label"])
    scores = np.asarray(trees.predict_proba(typed[cut:]))[:, 1]
    truths = known["label"][cut:]
    folder.mkdir(parents=True, exist_ok=True)
    model, sample, records = (folder / name for name in ("model.txt", "sample.parquet", "trained.parquet"))
    trees.booster_.save_model(model)
    fit_on[[*inputs, "event_time"]].to_parquet(sample, index=False)
    fit_on[["event_id", "subject"]].to_parquet(records, index=False)
    quality = {"log_loss": log_loss(truths, scores), "auc": roc_auc_score(truths, scores), "rows": len(truths)}
    first, last = (f"{known['event_time'].iloc[row]:%Y-%m-%d}" for row in (0, cut - 1))
    return Fitted(model, sample, records, {name: float(x) for name, x in quality.items()}, cut, first, last)
