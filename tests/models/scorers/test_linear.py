"""The contract, for kind linear."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from models.bundles.manifest import Manifest
from models.testing import Sample, contract_tests
from tests.models import bundle_folders as bundles
from tests.models.scorers.samples import sample


def without_terms(folder: Path, manifest: Manifest) -> Manifest:
    return replace(manifest, linear=None)


def overflowing(folder: Path) -> Sample:
    """Finite coefficients and finite inputs whose sum is infinity less infinity."""
    inputs = [{"name": name, "type": "number"} for name in ("up", "down")]
    linear = {"intercept": 0, "coefficients": {"up": 1e300, "down": -1e300}, "link": "identity"}
    rows = pa.RecordBatch.from_pydict({"up": [1e300, 1e301], "down": [1e300, 1e301]})
    return Sample({"inputs": inputs, "output": {"kind": "regression"}, "linear": linear}, rows)


test_contract = contract_tests("linear", sample(bundles.linear), spoil=without_terms, make_nan=overflowing)
