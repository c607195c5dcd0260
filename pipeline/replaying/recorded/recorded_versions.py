"""Whether each answer still comes out: every receipt scored by the version, and under the release, that it names."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.bundles.manifest import Input
from models.errors import BundleRefused, StoreError
from models.serving.cache import LoadedModel, LoadFailed
from pipeline.replaying.recorded.receipts import HELD, all_differ, kinds_of, read_receipts, where
from pipeline.replaying.recorded.rescoring import Again, Rescored, Write, rescore
from pipeline.replaying.recorded.world import World
from pipeline.replaying.refusal import CandidateRefused
from transforms.scoring.receipts import ReceiptOrigin

_MOST_NAMED = 20
_DEFAULT_TOLERANCE = 1e-6


class _Versions:
    """The versions that receipts name, each loaded once; one that the store does not have as recorded is refused."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.loaded: dict[str, LoadedModel] = {}
        self.refused: dict[str, str] = {}

    def inputs(self, version: str, digest: str) -> tuple[Input, ...]:
        """The inputs of a version; none where it is refused."""
        if digest not in self.loaded and digest not in self.refused:
            try:
                model = self._world.load(version)
                if model.manifest.digest != digest:
                    found = f"version {version!r} in the store has the digest {model.manifest.digest}"
                    raise CandidateRefused(f"{found}; expected: {digest}")
                self.loaded[digest] = model
            except (CandidateRefused, LoadFailed, BundleRefused, StoreError) as problem:
                self.refused[digest] = str(problem)
        return self.loaded[digest].manifest.inputs if digest in self.loaded else ()


def replay_as_recorded(world: World, origin: ReceiptOrigin, write: Write) -> dict[str, Any]:
    """The report: of each version how many scores are `equal` to the bit, `within` the tolerance of its golden records,
    and `beyond` it, those of late events apart; and how many ids differ.

    Raises:
        StoreError: the audit does not answer.
    """
    versions = _Versions(world)
    found = read_receipts(world.audit, world.wanted, versions.inputs)
    told = {}
    beyond = list[str]()
    for digest, rows in found.by_digest.items():
        rows = _once(rows)
        name = f"{rows['version'][0].as_py()} ({digest[:12]})"
        if digest in versions.refused:
            told[name] = {"receipts": rows.num_rows, "refused": versions.refused[digest]}
            continue
        told[name] = _of_version(rows, versions.loaded[digest], origin, write, beyond)
    read = {"read": found.rows, **found.locked.told()}
    return {"receipts": read, "versions": told, "beyond": beyond[:_MOST_NAMED], **found.locked.named}


def _once(rows: pa.Table) -> pa.Table:
    """One row for each score: a retry wrote the same again. What contradicts itself stays, to be found."""
    if all_differ(rows["score_id"]):
        return rows
    numbered = rows.append_column("row", pa.array(np.arange(rows.num_rows)))
    firsts = numbered.group_by(["score_id", "score"], use_threads=False).aggregate([("row", "min")])["row_min"]
    return rows if len(firsts) == rows.num_rows else rows.take(firsts.combine_chunks())


def _of_version(
    rows: pa.Table, model: LoadedModel, origin: ReceiptOrigin, write: Write, beyond: list[str]
) -> dict[str, Any]:
    held = where(rows, rows[HELD].to_numpy())
    golden = model.manifest.golden
    tolerance = _DEFAULT_TOLERANCE if golden is None else golden.tolerance
    total = {"equal": 0, "within": 0, "beyond": 0, "unscored": 0, "ids_differ": 0}
    late = dict(total)
    for kind, own in kinds_of(held, ("definitions", "release", "role")):
        done = rescore(own, Again(model, kind["definitions"], kind["release"], kind["role"]), origin, write)
        is_late = own["late"].to_numpy()
        _tally(total, own, done, tolerance, ~is_late, beyond)
        _tally(late, own, done, tolerance, is_late, beyond)
    return {"receipts": rows.num_rows, "inputs_not_held": rows.num_rows - held.num_rows, **total, "late": late}


def _tally(
    counts: dict[str, int], rows: pa.Table, done: Rescored, tolerance: float, chosen: Any, beyond: list[str]
) -> None:
    recorded = rows["score"].to_numpy()
    equal = recorded == done.scores
    with np.errstate(invalid="ignore"):
        near = ~equal & (np.abs(recorded - done.scores) <= tolerance)
    missing = np.isnan(done.scores)
    far = ~equal & ~near & ~missing
    ids = pc.fill_null(pc.not_equal(rows["score_id"], done.ids), False).to_numpy()
    found = {"equal": equal, "within": near, "beyond": far, "unscored": missing, "ids_differ": ids}
    for name, mask in found.items():
        counts[name] += int((mask & chosen).sum())
    if len(beyond) < _MOST_NAMED:
        beyond += rows["score_id"].filter(pa.array((far | ids) & chosen)).to_pylist()[:_MOST_NAMED]
