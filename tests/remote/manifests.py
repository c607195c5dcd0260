"""Manifests of remote scorers over the made-up flights, and their batches."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from models.bundles.inputs import prepare_inputs
from models.bundles.manifest import Input, Manifest
from models.scorers import PartlyScored, Scorer, load_scorer
from models.scorers.remote.calls import Pace
from models.scorers.remote.scorer import RemoteScorer
from tests.models.bundle_folders import NUMBERS, document, flights, write_bundle

PAYLOADLESS: dict[str, Any] = {"inputs": NUMBERS, "output": {"kind": "probability"}}

# What MLServer's model takes.
BASE = {
    "model": "late",
    "version": "v1",
    "input": "features",
    "datatypes": {"features": "FP64"},
    "output": "predict_proba",
}


def manifest(folder: Path, kind: str, parameters: dict[str, Any], **changes: Any) -> Manifest:
    """A manifest of a remote kind in an otherwise empty bundle."""
    base = {"linear": None, **PAYLOADLESS, **changes}
    return write_bundle(folder, document(kind, parameters=parameters, **base))


def loaded(folder: Path, kind: str, parameters: dict[str, Any], **changes: Any) -> Scorer:
    """The scorer as a job loads it."""
    made = manifest(folder, kind, parameters, **changes)
    return load_scorer(kind, folder, made)


def paced(scorer: type[RemoteScorer], folder: Path, parameters: dict[str, Any], pace: Pace) -> RemoteScorer:
    """The scorer with the test's own clock."""
    return scorer.load_paced(manifest(folder, scorer.kind, parameters), pace)


def batch(rows: int) -> pa.RecordBatch:
    """Numbers only, as a scorer reads them."""
    made, _ = prepare_inputs(flights(rows), [Input(**entry) for entry in NUMBERS])
    return made


def errors_of(scorer: RemoteScorer, rows: int = 4) -> set[str]:
    """The errors of a batch that fails as a whole."""
    with pytest.raises(PartlyScored) as caught:
        scorer.score(batch(rows))
    assert len(caught.value.failures) == rows
    return {error for error, _ in caught.value.failures.values()}
