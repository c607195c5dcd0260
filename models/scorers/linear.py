"""Linear and logistic models whose coefficients are in the manifest: no payload, no library, exact."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.bundles.inputs import as_floats
from models.bundles.manifest import LinearTerms, Manifest
from models.scorers.base import Scorer, WillNotLoad, settings
from models.scorers.contributions import Contributions, Scale


class LinearScorer(Scorer):
    """score = link(intercept + Σ coefficient·(x - mean) / scale + Σ coefficient of the category).

    A null number that the manifest allows counts as its mean, a null or unlisted category as 0. The logistic
    link is 1 / (1 + exp(-z)), computed as exp(-log(exp(0) + exp(-z))), which neither overflows nor loses
    small values.
    """

    kind = "linear"

    def __init__(self, terms: LinearTerms) -> None:
        self._terms = terms
        self._categories = {
            name: (pa.array(list(values), pa.string()), np.array([*values.values(), 0.0], dtype=np.float64))
            for name, values in terms.categories.items()
        }

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> "LinearScorer":
        """Take the terms from the manifest; the folder is not read."""
        settings(manifest)
        if manifest.linear is None:
            raise WillNotLoad("linear: manifest without `linear`; expected: intercept and coefficients")
        return cls(manifest.linear)

    def score(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        """Score by columns; a row's score does not depend on the other rows. Overflow gives infinity or NaN."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._score(batch)

    def unseen(self, batch: pa.RecordBatch) -> Mapping[str, int]:
        """Categories without a coefficient, which count as 0."""
        found = {}
        for name, (listed, _) in self._categories.items():
            column = batch.column(name)
            listed_values = pc.is_in(column, value_set=listed).true_count
            found[name] = batch.num_rows - column.null_count - listed_values
        return found

    def contributions(self, batch: pa.RecordBatch) -> Contributions:
        """The terms themselves, exact: each input's own, on the scale of the link (log-odds where it is logistic)."""
        names = batch.schema.names
        values = np.zeros((batch.num_rows, len(names)))
        for name, term in self._inputs_terms(batch):
            values[:, names.index(name)] = term
        base = np.full(batch.num_rows, self._terms.intercept, np.float64)
        scale: Scale = "score" if self._terms.link == "identity" else "log_odds"
        return Contributions(base, values, self._total(batch), scale, separate=True)

    def _score(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        total = self._total(batch)
        if self._terms.link == "identity":
            return total
        logistic: npt.NDArray[np.float64] = np.exp(-np.logaddexp(0.0, -total))
        return logistic

    def _total(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        total = np.full(batch.num_rows, self._terms.intercept, dtype=np.float64)
        for _, term in self._inputs_terms(batch):
            total += term
        return total

    def _inputs_terms(self, batch: pa.RecordBatch) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
        """Each input with what it adds to the rows, in the order in which scores are summed."""
        terms = self._terms
        for name, coefficient in terms.coefficients.items():
            values = as_floats(batch.column(name), name)
            mean = terms.means.get(name)
            if mean is not None:
                values = np.where(np.isnan(values), 0.0, values - mean)
            yield name, coefficient * (values / terms.scales.get(name, 1.0))
        for name, (listed, coefficients) in self._categories.items():
            index = pc.index_in(batch.column(name), value_set=listed).fill_null(len(listed))
            yield name, coefficients[index.to_numpy(zero_copy_only=False)]
