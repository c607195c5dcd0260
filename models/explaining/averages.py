"""Contributions of single inputs, measured against those of an average row instead of against 0."""

from dataclasses import replace
from functools import cached_property

import numpy as np
import pyarrow as pa

from models.bundles.manifest import Manifest
from models.explaining.background import average_of
from models.profiles import Profile
from models.scorers import Scorer
from models.scorers.contributions import Contributions, Floats
from schemas.columns import ZEROS, read_type


class Averages:
    """What each input adds on average over the rows that a bundle's profile describes; 0 for what it does not.

    Of numbers the mean stands for all, which is exact where contributions are linear in it; of texts and booleans the
    frequent values by their shares.
    """

    def __init__(self, manifest: Manifest, profile: Profile | None, scorer: Scorer) -> None:
        self._manifest, self._scorer = manifest, scorer
        self._columns = {} if profile is None else {column.name: column for column in profile.columns}

    def against(self, found: Contributions) -> Contributions:
        """The same contributions, each less the average of its input, which the base has instead."""
        average = self._average
        return replace(found, values=found.values - average, base=found.base + average.sum())

    @cached_property
    def _average(self) -> Floats:
        inputs = self._manifest.inputs
        known = [average_of(self._columns[each.name]) if each.name in self._columns else [] for each in inputs]
        rows = max((len(values) for values in known), default=0)
        if not rows:
            return np.zeros(len(inputs))
        shares = np.zeros((rows, len(inputs)))
        columns = []
        for index, (entry, values) in enumerate(zip(inputs, known, strict=True)):
            shares[: len(values), index] = [share for _, share in values]
            kind = pa.float64() if entry.type in ("integer", "number") else read_type(entry.type)
            padding = values[0][0] if values else ZEROS[entry.type]
            filled = [value for value, _ in values] + [padding] * (rows - len(values))
            columns.append(pa.array(filled, kind))
        batch = pa.RecordBatch.from_arrays(columns, names=[each.name for each in inputs])
        found = self._scorer.contributions(batch)
        return np.zeros(len(inputs)) if found is None else np.asarray((found.values * shares).sum(axis=0))
