"""The reasons of scores in the words of their bundle: of any receipt, by the version that scored it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from models.bundles.manifest import Manifest, Reason
from models.bundles.recorded import NotRecorded, recorded_inputs
from models.explaining.explainer import explainer_of
from models.scorers.contributions import Contributions, Scale
from models.serving.cache import LoadedModel
from schemas.errors import HalflifeError
from schemas.expectations import wants

TOP = 4
"""How many reasons a score has where nothing else is said: more than four tell a person less (Regulation B, 12 CFR
1002.9(b)(2))."""
_ROUNDING = 1e-6  # of the greatest contribution: some libraries add float32, which has seven digits
_PLAIN = Reason()
_MANY = 2_000  # rows, from which on it pays to make tables


class NotExplained(HalflifeError):
    """Why a score is what it is cannot be said; `str()` names the score and the cause."""


class Contribution(NamedTuple):
    """What an input, which had this value, added to a score, with the bundle's code and text for it."""

    feature: str
    value: Any
    contribution: float
    code: str | None
    text: str | None


class Reasons(NamedTuple):
    """`contributions`: the greatest, by size; with all others they add up to `margin - base_value`, on this `scale`."""

    base_value: float
    contributions: tuple[Contribution, ...]
    margin: float
    scale: Scale


def reasons_of(
    loaded: LoadedModel, receipts: Sequence[Mapping[str, Any]] | pa.RecordBatch, top: int = TOP
) -> list[Reasons]:
    """The reasons of scores from their receipts, whenever these were written.

    Args:
        loaded: the version that scored them.
        receipts: n receipts of that version: mappings as an Avro reader gives them, or a batch. Read are `features`,
            `score_id` (it decides what is sampled) and, where it is there, `digest`.
        top: how many contributions are named at most, greatest first; those that the bundle suppresses never.

    Raises:
        NotRecorded: a receipt is of another version, or its features are not those of this one.
        NotExplained: a score cannot be explained.
    """
    rows = _mappings(receipts)
    if not rows:
        return []
    _check_digests(rows, loaded.manifest)
    batch = recorded_inputs([row["features"] for row in rows], loaded.manifest.inputs)
    ids = [str(row.get("score_id") or "") for row in rows]
    explainer = explainer_of(loaded)
    if len(rows) >= _MANY:
        explainer.prepare()
    contributions, failures = explainer.explain(batch, ids)
    if failures:
        row = min(failures)
        said = f"score {ids[row]!r} of version {loaded.manifest.version!r}: {failures[row]}"
        raise NotExplained(f"{said}; expected: contributions that add up, or golden records to compare with")
    order = greatest(contributions, loaded.manifest, top)
    return [_reasons(loaded.manifest, batch, contributions, row, order[row]) for row in range(len(rows))]


def greatest(contributions: Contributions, manifest: Manifest, top: int) -> np.ndarray:
    """The inputs with the greatest contributions of each row, by size: their indexes, shape (n, k) with k <= `top`; -1
    where there are no more that are named and more than rounding. Of equal ones the first input comes first."""
    shown = [not manifest.reasons.get(entry.name, _PLAIN).suppress for entry in manifest.inputs]
    every = np.nan_to_num(np.abs(contributions.values))
    size = np.where(np.array(shown, np.bool_), every, 0.0)
    order = np.argsort(-size, axis=1, kind="stable")[:, :top]
    rounding = _ROUNDING * np.max(every, axis=1, initial=0.0)[:, np.newaxis]
    return np.where(np.take_along_axis(size, order, axis=1) > rounding, order, -1)


def words_of(manifest: Manifest, feature: str, contribution: float) -> tuple[str | None, str | None]:
    """The bundle's code for an input, and its text for a contribution of this sign; None where it has none."""
    words = manifest.reasons.get(feature, _PLAIN)
    return words.code, words.positive if contribution > 0 else words.negative


def _reasons(manifest: Manifest, batch: pa.RecordBatch, found: Contributions, row: int, order: np.ndarray) -> Reasons:
    named = []
    for index in order[order >= 0].tolist():
        feature, contribution = manifest.inputs[index].name, float(found.values[row, index])
        value = batch.column(index)[row].as_py()
        named.append(Contribution(feature, value, contribution, *words_of(manifest, feature, contribution)))
    return Reasons(float(found.base[row]), tuple(named), float(found.margins[row]), found.scale)


def _mappings(receipts: Sequence[Mapping[str, Any]] | pa.RecordBatch) -> Sequence[Mapping[str, Any]]:
    if not isinstance(receipts, pa.RecordBatch):
        return receipts
    names = [name for name in ("features", "score_id", "digest") if name in receipts.schema.names]
    return [row | {"features": dict(row.get("features") or ())} for row in receipts.select(names).to_pylist()]


def _check_digests(rows: Sequence[Mapping[str, Any]], manifest: Manifest) -> None:
    for row in rows:
        found = row.get("digest", manifest.digest)
        if found != manifest.digest:
            said = f"receipt {row.get('score_id')!r} is of the bundle with digest {str(found)[:12]}"
            raise NotRecorded(f"{said}; {wants(f'{manifest.digest[:12]}, version {manifest.version!r}')}")
        if not isinstance(row.get("features"), Mapping):
            raise NotRecorded(f"receipt {row.get('score_id')!r} has no features; expected: those that were read")
