"""Whether the ways computed the same: event ids, score ids, scores, and the features in the receipts."""

import glob
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.peers import bare_loop
from benchmarks.workload import FEATURES

TOLERANCE = 1e-9


class Outputs(NamedTuple):
    """One run's outputs in the order of their score ids; `inputs` has shape (n, features)."""

    score_ids: npt.NDArray[np.str_]
    event_ids: npt.NDArray[np.str_]
    scores: npt.NDArray[np.float64]
    receipt_ids: npt.NDArray[np.str_]
    receipt_scores: npt.NDArray[np.float64]
    inputs: npt.NDArray[np.float64]


def compare_all(task: Path) -> None:
    """Writes the differences of each of `pairs` to `result`, both given in the JSON file `task`.

    A pair is `{"name", "left", "right"}` with two output folders; each folder is read once.
    """
    description = json.loads(task.read_text())
    folders = {pair[side] for pair in description["pairs"] for side in ("left", "right")}
    outputs = {folder: read_outputs(Path(folder)) for folder in folders}
    results = [
        {"name": pair["name"]} | differences(outputs[pair["left"]], outputs[pair["right"]])
        for pair in description["pairs"]
    ]
    Path(description["result"]).write_text(json.dumps(results, indent=1))


def differences(left: Outputs, right: Outputs) -> dict[str, float | int | bool]:
    """Counts, whether all ids agree, and the greatest absolute differences of scores and features.

    Where the ids differ, only events that both sides have are compared.
    """
    same = np.array_equal(left.score_ids, right.score_ids) and np.array_equal(left.event_ids, right.event_ids)
    same = same and all(np.array_equal(one.score_ids, one.receipt_ids) for one in (left, right))
    _, at_left, at_right = np.intersect1d(left.score_ids, right.score_ids, return_indices=True)
    _, in_left, in_right = np.intersect1d(left.receipt_ids, right.receipt_ids, return_indices=True)
    score = _greatest(left.scores[at_left], right.scores[at_right])
    receipt_score = _greatest(left.receipt_scores[in_left], right.receipt_scores[in_right])
    features = _greatest(left.inputs[in_left], right.inputs[in_right])
    return {
        "events": len(left.score_ids),
        "events_other": len(right.score_ids),
        "in_both": len(at_left),
        "same_ids": bool(same),
        "score": max(score, receipt_score),
        "features": features,
        "agrees": bool(same and max(score, receipt_score, features) <= TOLERANCE),
    }


def _greatest(left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> float:
    return float(np.abs(left - right).max()) if left.size else float("inf")


def read_outputs(folder: Path) -> Outputs:
    """The scores and receipts (`receipts/`, also where it is within `audit/`) below `folder`."""
    scores = _read(folder / "scores")
    audit = folder / "audit" / "receipts"
    receipts = _read(audit if audit.exists() else folder / "receipts")
    order, receipt_order = (np.argsort(_strings(batch, "score_id")) for batch in (scores, receipts))
    return Outputs(
        _strings(scores, "score_id")[order],
        _strings(scores, "event_id")[order],
        scores.column("score").to_numpy()[order],
        _strings(receipts, "score_id")[receipt_order],
        receipts.column("score").to_numpy()[receipt_order],
        _inputs(receipts.column("features"))[receipt_order],
    )


def _read(folder: Path) -> pa.RecordBatch:
    return bare_loop.read_events(sorted(glob.glob(f"{folder}/**/*.avro", recursive=True)))


def _strings(batch: pa.RecordBatch, name: str) -> npt.NDArray[np.str_]:
    values: npt.NDArray[np.str_] = batch.column(name).to_numpy(zero_copy_only=False).astype(str)
    return values


# Branches of the union of what a scorer read (schemas/avsc/Receipt.avsc).
_WHOLE, _NUMBER = 1, 2


def _inputs(features: pa.MapArray) -> npt.NDArray[np.float64]:
    """The maps as a matrix in the order of `FEATURES`.

    Raises:
        ValueError: a receipt has other features than those, or one that is not a number.
    """
    width = len(FEATURES)
    names = features.keys.to_numpy(zero_copy_only=False).astype(str)
    values = features.items
    if len(names) != len(features) * width or not np.isin(values.type_codes.to_numpy(), (_WHOLE, _NUMBER)).all():
        raise ValueError(f"receipts have other than {width} features, or some that are not numbers")
    order = np.argsort(names.reshape(-1, width), axis=1)
    if (np.take_along_axis(names.reshape(-1, width), order, axis=1) != np.sort(FEATURES)).any():
        raise ValueError(f"receipts have other features than {', '.join(FEATURES)}")
    matrix = np.empty((len(features), width))
    wholes, doubles = (values.field(kind).to_numpy(zero_copy_only=False) for kind in (_WHOLE, _NUMBER))
    numbers = np.where(values.type_codes.to_numpy() == _WHOLE, wholes, doubles).astype(np.float64).reshape(-1, width)
    matrix[:, np.argsort(FEATURES)] = np.take_along_axis(numbers, order, axis=1)
    return matrix
