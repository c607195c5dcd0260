"""Small real bundles for the contract: models trained on made-up flights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from models.bundles.inputs import prepare_inputs
from models.bundles.manifest import Input
from models.testing import MakeBundle, Sample
from tests.models.bundle_folders import flights, labels

ROWS = 20


def sample(make: Callable[[Path], dict[str, Any]]) -> MakeBundle:
    """A maker of bundles of `tests.models.bundle_folders` as the kit takes one."""

    def make_bundle(folder: Path) -> Sample:
        manifest = make(folder)
        return Sample(manifest, flights(ROWS).select([entry["name"] for entry in manifest["inputs"]]))

    return make_bundle


def delays(kind: str, *values: float) -> Sample:
    """The sample of a model whose one input is the delay and whose output is of this kind."""
    manifest = {"inputs": [{"name": "delay", "type": "number"}], "output": {"kind": kind}}
    return Sample(manifest, pa.RecordBatch.from_pydict({"delay": pa.array(values, pa.float64())}))


def frame(rows: int = 300, *, strings: bool = True) -> pd.DataFrame:
    """Flights as the libraries of trees read them: carriers as categories, or without the carrier."""
    found: pd.DataFrame = flights(rows).to_pandas()
    found["weekend"] = found.weekend.astype(float)
    found["carrier"] = found.carrier.astype("category")
    return found if strings else found.drop(columns="carrier")


def late(rows: int = 300) -> npt.NDArray[np.bool_]:
    """Whether each of those flights is late."""
    return labels(flights(rows))


def prepared(inputs: list[dict[str, Any]], rows: int) -> pa.RecordBatch:
    """Flights as a scorer with these inputs reads them."""
    return prepare_inputs(flights(rows), [Input(entry["name"], entry["type"]) for entry in inputs])[0]
