"""From a training set to a published bundle: fit, score through the real scorer, describe, upload."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from examples.flights.plan import BROKEN, MODEL, Training
from examples.flights.training.fitting import NUMBERS, TEXTS, Fitted, Trainer, input_documents, inputs_of
from examples.flights.training.train_linear import train_linear
from examples.flights.training.train_sklearn import train_sklearn
from examples.flights.training.train_tensorflow import train_tensorflow
from examples.flights.training_set import known_at, late_mask, split_in_time
from models.bundles.folders import manifest_bytes
from models.bundles.inputs import prepare_inputs
from models.bundles.manifest import FORMAT, Manifest, parse_manifest
from models.profiles import SCORE, build_profile, serialise_profile, with_segments, with_training_windows
from models.publishing.importance import importance_of
from models.scorers import load_scorer
from models.store.store import ModelStore
from schemas.times import format_time_us

TRAINERS: Mapping[str, Trainer] = {
    "linear": train_linear,
    "sklearn": train_sklearn,
    "tensorflow": train_tensorflow,
}
CREATED_BY = "examples.flights"
PROFILE, GOLDEN, RECORDS = "profile.json", "golden.jsonl", "records/trained.parquet"
_GOLDEN_RECORDS = 50
# The answers of float32 networks differ slightly with the number of threads.
_TOLERANCE = 1e-5
_SEGMENT = "origin"

Scores = npt.NDArray[np.float64]


class Published(NamedTuple):
    """A version in the store, with its quality on the held-out fifth of its training set."""

    manifest: Manifest
    quality: Mapping[str, Any]


def publish_version(store: ModelStore, training: Training, rows: pa.Table, sources: list[dict[str, Any]]) -> Published:
    """Fits on the flights that had landed by `training.until` and publishes the bundle.

    `rows` are labelled flights in order of time, with the column `origin`; `sources` describe the files they come from.

    Raises:
        NothingToLearn: too few flights had landed.
        VersionExists: the store has this version.
    """
    fit_on, held_out = split_in_time(known_at(rows, training.until))
    with tempfile.TemporaryDirectory(prefix="halflife-bundle-") as name:
        folder = Path(name)
        fitted = TRAINERS[training.kind](fit_on, folder)
        (folder / RECORDS).parent.mkdir()
        pq.write_table(fit_on.select(["event_id", "subject"]), folder / RECORDS, compression="zstd")
        document = _document(training, fitted, fit_on, sources)
        quality = _describe(folder, document, fit_on, held_out)
        return Published(store.publish(folder, document), quality)


def publish_broken(store: ModelStore, like: Manifest) -> Manifest:
    """A linear version whose weights changed sign after its golden records were written: admission must refuse it."""
    document = json.loads(like.raw)
    document["version"] = BROKEN
    weights = document["linear"]["coefficients"]
    document["linear"]["coefficients"] = {name: -weight for name, weight in weights.items()}
    with tempfile.TemporaryDirectory(prefix="halflife-bundle-") as name:
        folder = store.fetch(like.version, Path(name) / "bundle")
        return store.publish(folder, document)


def _document(training: Training, fitted: Fitted, fit_on: pa.Table, sources: list[dict[str, Any]]) -> dict[str, Any]:
    times = fit_on["event_time"].cast(pa.int64())
    first, last = (format_time_us(int(times[row].as_py())) for row in (0, -1))
    document: dict[str, Any] = {
        "model": MODEL,
        "version": training.version,
        "scorer": fitted.scorer,
        "inputs": input_documents(),
        "output": {"kind": "probability", "threshold": 0.5, "positive": "late"},
        "training": {
            "trained_at": training.until,
            "code": f"examples/flights/train_{training.kind}.py",
            "parameters": {"label": "arr_delay > 15", "rows": fit_on.num_rows, "from": first, "to": last},
            "hyperparameters": dict(fitted.hyperparameters),
            "data": sources,
            "records": RECORDS,
        },
        "created_by": CREATED_BY,
    }
    parts = {"linear": fitted.linear, "parameters": fitted.parameters}
    return document | {key: dict(part) for key, part in parts.items() if part is not None}


def _describe(folder: Path, document: dict[str, Any], fit_on: pa.Table, held_out: pa.Table) -> Mapping[str, Any]:
    """Adds profile, golden records and quality; every score comes from the scorer that will serve."""
    manifest = parse_manifest(manifest_bytes(folder, document))
    scorer = load_scorer(manifest.scorer, folder, manifest)
    try:
        seen, unseen = (_scores(scorer, manifest, rows) for rows in (fit_on, held_out))
        importance = importance_of(scorer.score, prepare_inputs(inputs_of(fit_on), manifest.inputs)[0])
    finally:
        scorer.close()
    profiled = fit_on.append_column(SCORE, pa.array(seen))
    profile = with_training_windows(build_profile(profiled, (*NUMBERS, *TEXTS, SCORE)), profiled)
    rows_of_all = profiled.combine_chunks().to_batches()[0]
    profile = with_segments(profile, rows_of_all, {_SEGMENT: rows_of_all.column(_SEGMENT)})
    (folder / PROFILE).write_bytes(serialise_profile(profile))
    (folder / GOLDEN).write_text(_golden(held_out, unseen), encoding="utf-8")
    quality = _quality(held_out, unseen)
    document |= {
        "profile": PROFILE,
        "golden": {"file": GOLDEN, "tolerance": _TOLERANCE},
        "quality": quality,
        "importance": importance,
        "format": FORMAT,
    }
    return quality


def _scores(scorer: Any, manifest: Manifest, rows: pa.Table) -> Scores:
    prepared, _ = prepare_inputs(inputs_of(rows), manifest.inputs)
    scores: Scores = scorer.score(prepared)
    return scores


def _golden(rows: pa.Table, scores: Scores) -> str:
    golden = np.unique(np.linspace(0, rows.num_rows - 1, _GOLDEN_RECORDS).astype(np.int64))
    inputs = inputs_of(rows).take(pa.array(golden)).to_pylist()
    recorded = zip(inputs, scores[golden].tolist(), strict=True)
    lines = [json.dumps({"inputs": record, "score": score}) for record, score in recorded]
    return "\n".join(lines) + "\n"


def _quality(rows: pa.Table, scores: Scores) -> dict[str, Any]:
    late, segments = late_mask(rows), np.asarray(rows[_SEGMENT].to_pylist())
    by_origin = {
        str(value): _metrics(late[segments == value], scores[segments == value]) for value in np.unique(segments)
    }
    return {**_metrics(late, scores), "by_segment": {_SEGMENT: by_origin}}


def _metrics(late: npt.NDArray[np.bool_], scores: Scores) -> dict[str, float]:
    """AUC (where both classes occur), log loss and Brier score."""
    metrics = {
        "rows": float(len(late)),
        "log_loss": float(log_loss(late, scores, labels=[False, True])),
        "brier": float(brier_score_loss(late, scores)),
    }
    return metrics | ({"auc": float(roc_auc_score(late, scores))} if len(np.unique(late)) == 2 else {})
