"""The scorecard keeps the contract of a scorer."""

import json
from pathlib import Path

import pyarrow as pa

from models.testing import Sample, contract_tests

INPUTS = [
    {"name": "delay", "type": "number", "nullable": True},
    {"name": "distance", "type": "integer"},
    {"name": "carrier", "type": "string", "default": "UA"},
]
TABLES = {
    "delay": {"edges": [0, 15, 60], "points": [25, 10, -20, -60], "missing": 3},
    "distance": {"edges": [500, 1500], "points": [5, 0, -4], "missing": 0},
    "carrier": {"categories": {"AA": 12, "DL": 30}, "other": 0, "missing": 0},
}


def make_bundle(folder: Path) -> Sample:
    folder.mkdir(parents=True)
    (folder / "scorecard.json").write_text(json.dumps({"base": 600, "columns": TABLES}))
    rows = {
        "delay": [-4.0, 0.0, 14.9, 15.0, 61.5, 300.0, 2.0, 8.0],
        "distance": [200, 499, 500, 1499, 1500, 2500, 900, 100],
        "carrier": ["AA", "DL", "UA", "AA", "B6", "DL", "UA", "AA"],
    }
    return Sample({"inputs": INPUTS, "output": {"kind": "regression"}}, pa.RecordBatch.from_pydict(rows))


def make_nan(folder: Path) -> Sample:
    sample = make_bundle(folder)
    (folder / "scorecard.json").write_text(json.dumps({"base": float("nan"), "columns": TABLES}))
    return sample


test_contract = contract_tests("scorecard", make_bundle, make_nan=make_nan)
