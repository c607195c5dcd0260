"""Manifests of remote scorers over the made-up flights, and their batches."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from models.inputs import prepare_inputs
from models.manifest import Manifest
from models.scorers import Scorer, load_scorer
from models.scorers.remote.calls import Pace
from models.scorers.remote.scorer import RemoteScorer
from tests.unit.models.bundles import NUMBERS, document, flights, write_bundle

PAYLOADLESS: dict[str, Any] = {"inputs": NUMBERS, "output": {"kind": "probability"}}


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
    made, _ = prepare_inputs(flights(rows), manifest_inputs())
    return made


def manifest_inputs() -> Any:
    """The inputs of `NUMBERS` as parsed."""
    from models.manifest import Input

    return tuple(Input(**entry) for entry in NUMBERS)
