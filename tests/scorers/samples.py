"""Small real bundles for the contract: models trained on made-up flights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from models.testing import MakeBundle, Sample
from tests.unit.models.bundles import flights

ROWS = 20


def sample(make: Callable[[Path], dict[str, Any]]) -> MakeBundle:
    """A maker of bundles of `tests.unit.models.bundles` as the kit takes one."""

    def make_bundle(folder: Path) -> Sample:
        manifest = make(folder)
        return Sample(manifest, flights(ROWS).select([entry["name"] for entry in manifest["inputs"]]))

    return make_bundle


def delays(kind: str, *values: float) -> Sample:
    """The sample of a model whose one input is the delay and whose output is of this kind."""
    manifest = {"inputs": [{"name": "delay", "type": "number"}], "output": {"kind": kind}}
    return Sample(manifest, pa.RecordBatch.from_pydict({"delay": pa.array(values, pa.float64())}))
