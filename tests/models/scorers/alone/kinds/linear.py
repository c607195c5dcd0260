"""Linear models of the manifest, against the formula in docs/scorers.md, reckoned for one record in Python."""

import math
from functools import partial
from pathlib import Path
from typing import Any

from tests.models.scorers.alone.cases import Case, Model, Record

_LINEAR: dict[str, Any] = {
    "intercept": -0.5,
    "coefficients": {"delay": 0.05, "distance": -0.001, "weekend": 0.4},
    "means": {"delay": 12.5, "distance": 1000.0, "weekend": 0.3},
    "scales": {"delay": 20.0},
    "categories": {"carrier": {"AA": 0.5, "DL": -0.7}},
}
_INPUTS = [
    {"name": "delay", "type": "number", "nullable": True},
    {"name": "distance", "type": "integer", "nullable": True},
    {"name": "weekend", "type": "boolean", "nullable": True},
    {"name": "carrier", "type": "string", "nullable": True},
]
_SEEN: list[Record] = [
    {"delay": 31.0, "distance": 500, "weekend": True, "carrier": "AA"},
    {"delay": -4.5, "distance": 2400, "weekend": False, "carrier": "DL"},
    {"delay": 0.0, "distance": 100, "weekend": True, "carrier": "UA"},
]


def _truth(record: Record, link: str) -> float:
    total: float = _LINEAR["intercept"]
    for name, coefficient in _LINEAR["coefficients"].items():
        if record[name] is not None:
            scale = _LINEAR["scales"].get(name, 1.0)
            total += coefficient * ((float(record[name]) - _LINEAR["means"][name]) / scale)
    total += _LINEAR["categories"]["carrier"].get(record["carrier"], 0.0)
    if link == "identity":
        return total
    power = math.exp(-min(abs(total), 800.0))
    return 1 / (1 + power) if total >= 0 else power / (1 + power)


def _make(folder: Path, kind: str, link: str) -> Model:
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {"inputs": _INPUTS, "output": {"kind": kind}, "linear": {**_LINEAR, "link": link}}
    return Model(manifest, partial(_truth, link=link), _SEEN)


CASES = (
    Case("linear", "logistic", partial(_make, kind="probability", link="logistic")),
    Case("linear", "identity", partial(_make, kind="regression", link="identity")),
)
