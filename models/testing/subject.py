"""The bundle that the contract's checks are run against."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from models.bundles.folders import file_sha256, payload_paths
from models.bundles.inputs import prepare_inputs
from models.bundles.manifest import MANIFEST, Manifest, parse_manifest
from models.scorers import Scorer, load_scorer
from models.scorers.base import payload_files

MODEL, VERSION = "contract", "v1"
GOLDEN = "golden.jsonl"
_GOLDEN_ROWS = 5
_DEFAULTS = {
    "model": MODEL,
    "version": VERSION,
    "training": {"trained_at": "2013-03-01T00:00:00Z"},
    "created_by": "contract tests",
}


class Sample(NamedTuple):
    """What the author of a kind supplies.

    Attributes:
        manifest: the manifest's `inputs`, `output` and whatever the kind reads there. `files`, `golden` and
            what every manifest has in common is filled in where it is absent.
        rows: 8 rows or more with a column for every input, without nulls, that get at least 2 different scores.
    """

    manifest: Mapping[str, Any]
    rows: pa.RecordBatch


MakeBundle: TypeAlias = Callable[[Path], Sample]
Spoil: TypeAlias = Callable[[Path, Manifest], Manifest]


@dataclass(frozen=True)
class Subject:
    """A bundle with golden records in `folder`, and how to judge it.

    Attributes:
        rows: the sample's rows.
        tolerance: the greatest difference between two scores of one row that counts as rounding.
        allow_pickle: whether the scorer may open pickles.
        spoil: makes a copy of the bundle one that must not load.
        make_nan: a bundle whose model answers NaN or infinity for each of its rows, if the kind can have one.
    """

    kind: str
    folder: Path
    manifest: Manifest
    rows: pa.RecordBatch
    tolerance: float
    allow_pickle: bool
    spoil: Spoil
    make_nan: MakeBundle | None

    @cached_property
    def scorer(self) -> Scorer:
        """One loaded scorer that all checks may score with, but none may close."""
        return self.load()

    @cached_property
    def columns(self) -> Mapping[str, str]:
        """The job's columns as admission takes them: exactly the inputs."""
        return {entry.name: entry.type for entry in self.manifest.inputs}

    def load(self) -> Scorer:
        """A scorer of the subject's own."""
        return load_scorer(self.kind, self.folder, self.manifest, self.allow_pickle)

    def batch(self, rows: int) -> pa.RecordBatch:
        """That many rows, the sample's repeated, as the scorer reads them."""
        indexes = np.arange(rows) % self.rows.num_rows
        return prepare_inputs(self.rows.take(pa.array(indexes)), self.manifest.inputs)[0]


def spoil_payload(folder: Path, manifest: Manifest) -> Manifest:
    """Overwrite each file of the payload with a line of text."""
    paths = payload_files(manifest)
    if not paths:
        raise ValueError(f"{manifest.scorer}: the bundle has no payload to spoil; expected: a `spoil` of its own")
    for path in paths:
        (folder / path).write_bytes(b"this is not a model\n")
    return manifest


def publish(subject: Subject, into: Path) -> str:
    """Put the bundle, with its manifest unchanged, into a new store in the folder; returns the store's URL."""
    store = into / "store"
    shutil.copytree(subject.folder, store / subject.manifest.model / "versions" / subject.manifest.version)
    return str(store)


def build_subject(
    kind: str,
    make_bundle: MakeBundle,
    folder: Path,
    *,
    tolerance: float = 1e-6,
    allow_pickle: bool = False,
    spoil: Spoil = spoil_payload,
    make_nan: MakeBundle | None = None,
) -> Subject:
    """Make a bundle of this kind in `folder`; golden records are recorded unless the sample has some.

    Raises:
        BundleRefused: the manifest is not valid, or the bundle does not load.
    """
    sample = make_bundle(folder)
    manifest = write_bundle(kind, folder, sample.manifest)
    if manifest.golden is None:
        document = {**sample.manifest, "golden": {"file": GOLDEN, "tolerance": max(tolerance, 1e-6)}}
        _record_golden(folder, manifest, sample.rows, allow_pickle)
        manifest = write_bundle(kind, folder, document)
    return Subject(kind, folder, manifest, sample.rows, tolerance, allow_pickle, spoil, make_nan)


def write_bundle(kind: str, folder: Path, document: Mapping[str, Any]) -> Manifest:
    """Put the manifest, with the payload's files hashed, into the folder of the payload."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {path: file_sha256(folder / path) for path in payload_paths(folder)}
    raw = json.dumps({**_DEFAULTS, "scorer": kind, **document, "files": files}).encode()
    (folder / MANIFEST).write_bytes(raw)
    return parse_manifest(raw)


def write_golden(folder: Path, manifest: Manifest, rows: pa.RecordBatch, scores: list[float]) -> None:
    """Write rows and scores as the golden records of a bundle, whose manifest is to name them."""
    inputs = rows.select([entry.name for entry in manifest.inputs]).to_pylist()
    lines = [json.dumps({"inputs": row, "score": score}) for row, score in zip(inputs, scores, strict=True)]
    (folder / GOLDEN).write_text("\n".join(lines), encoding="utf-8")


def _record_golden(folder: Path, manifest: Manifest, rows: pa.RecordBatch, allow_pickle: bool) -> None:
    first = rows.slice(0, _GOLDEN_ROWS)
    scorer = load_scorer(manifest.scorer, folder, manifest, allow_pickle)
    scores = scorer.score(prepare_inputs(first, manifest.inputs)[0])
    write_golden(folder, manifest, first, scores.tolist())
    scorer.close()
