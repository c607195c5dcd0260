"""A scorecard: points for the bin or category that each value falls into, added up."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.bundles.inputs import as_floats
from models.bundles.manifest import Manifest
from models.scorers.base import Scorer, WillNotLoad, only_file, settings


@dataclass(frozen=True, slots=True)
class Bins:
    """Points of a number: `points[i]` where `edges[i-1] <= x < edges[i]`; there is one more point than edges."""

    edges: npt.NDArray[np.float64]
    points: npt.NDArray[np.float64]
    missing: float

    def of(self, column: pa.Array, name: str) -> npt.NDArray[np.float64]:
        values = as_floats(column, name)
        found = self.points[np.searchsorted(self.edges, values, side="right")]
        return np.where(np.isnan(values), self.missing, found)


@dataclass(frozen=True, slots=True)
class Categories:
    """Points of a string; `points` has one more entry, for all strings that are not listed."""

    listed: pa.Array
    points: npt.NDArray[np.float64]
    missing: float

    def of(self, column: pa.Array, name: str) -> npt.NDArray[np.float64]:
        indexes = pc.index_in(column, value_set=self.listed).fill_null(len(self.listed))
        found = self.points[indexes.to_numpy(zero_copy_only=False)]
        return np.where(column.is_null().to_numpy(zero_copy_only=False), self.missing, found)


class ScorecardScorer(Scorer):
    """One `.json` file: `{"base": 600, "columns": {name: table}}` with a table for each input.

    A number's table is `{"edges": [10, 30], "points": [20, 5, -15], "missing": 0}`, a string's
    `{"categories": {"AA": 12}, "other": 0, "missing": -5}`. The output is a regression: base plus points.
    """

    kind = "scorecard"

    def __init__(self, base: float, tables: Mapping[str, Bins | Categories]) -> None:
        self._base = base
        self._tables = tables

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> "ScorecardScorer":
        """Read the tables; each input needs one of its type."""
        settings(manifest)
        if manifest.output.kind != "regression":
            raise WillNotLoad(f"scorecard: output {manifest.output.kind}; expected: regression")
        document = json.loads((folder / only_file(manifest, [".json"])).read_text(encoding="utf-8"))
        columns, names = document["columns"], [entry.name for entry in manifest.inputs]
        if sorted(columns) != sorted(names):
            raise WillNotLoad(f"scorecard: tables for {', '.join(columns)}; allowed: {', '.join(names)}")
        tables = {
            entry.name: (_categories if entry.type == "string" else _bins)(columns[entry.name])
            for entry in manifest.inputs
        }
        return cls(float(document["base"]), tables)

    def score(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        """Add up by columns."""
        total = np.full(batch.num_rows, self._base, dtype=np.float64)
        for name, table in self._tables.items():
            total += table.of(batch.column(name), name)
        return total


def _bins(table: Mapping[str, Any]) -> Bins:
    edges, points = np.array(table["edges"], np.float64), np.array(table["points"], np.float64)
    if len(points) != len(edges) + 1 or (np.diff(edges) <= 0).any():
        raise WillNotLoad(f"scorecard: {len(points)} points, {len(edges)} edges; expected: rising edges, a point more")
    return Bins(edges, points, float(table["missing"]))


def _categories(table: Mapping[str, Any]) -> Categories:
    listed: Mapping[str, float] = table["categories"]
    points = np.array([*listed.values(), table["other"]], np.float64)
    return Categories(pa.array(list(listed), pa.string()), points, float(table["missing"]))
