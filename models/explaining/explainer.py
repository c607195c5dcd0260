"""The contributions of a loaded model: by the method of its own kind, else by sampling; what does not add up is not
believed."""

import logging
import threading
import weakref
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from models.errors import one_line
from models.explaining.averages import Averages
from models.explaining.background import background_of
from models.explaining.sampling import SampledContributions
from models.scorers.contributions import Contributions
from models.serving.cache import LoadedModel

_LOG = logging.getLogger(__name__)
TOLERANCE = 1e-4
"""How far contributions may be from adding up, as a share of their size: libraries compute in float32."""
_NO_BACKGROUND = "the bundle has neither golden records nor a profile of all inputs to compare with"


class Explained(NamedTuple):
    """Of all rows of a batch: their contributions, NaN in the rows that `failures` names with the reason, one line."""

    contributions: Contributions
    failures: dict[int, str]


class Explainer:
    """The contributions to one loaded model's scores, computed by the object that scored. Thread-safe.

    `most_rows`: how many scores those of one score may cost where they are sampled; None for the kind's own limit.
    """

    def __init__(self, model: LoadedModel, most_rows: int | None = None) -> None:
        manifest = model.manifest
        self._scorer = model.scorer
        self._named = f"version {manifest.version!r} of model {manifest.model!r}"
        self._averages = Averages(manifest, model.profile, model.scorer)
        background = background_of(manifest, model.folder, model.profile)
        self._of_class = manifest.output.kind == "class"
        self._sampled = (
            None if background is None else SampledContributions(model.scorer, background, self._of_class, most_rows)
        )
        self._said = False

    def explain(self, batch: pa.RecordBatch, ids: Sequence[str]) -> Explained:
        """Explain n > 0 rows that have scores, as `prepare_inputs` makes them; `ids` are those of the scores.

        A model that cannot be explained is a failure of the rows, never an error.
        """
        try:
            found = self._scorer.contributions(batch)
        except Exception as error:  # libraries raise every class, and reasons never cost a score
            self._say(f"its kind's own method failed, so they are sampled: {one_line(error)}")
            found = None
        if found is None:
            found, failures = self._by_sampling(batch, ids)
        else:
            found, failures = self._averages.against(found) if found.separate else found, dict[int, str]()
        wrong = found.off() > TOLERANCE
        for row in np.flatnonzero(wrong).tolist():
            failures.setdefault(row, f"contributions do not add up to the {found.scale}")
        if failures:
            self._say(f"not computed: {failures[min(failures)]}")
        return Explained(found, failures)

    def prepare(self) -> None:
        """Have the model make, once, what speeds up the contributions of many rows."""
        try:
            self._scorer.prepare_contributions()
        except Exception as error:  # without it they are only slower
            self._say(f"nothing was prepared for them: {one_line(error)}")

    def _by_sampling(self, batch: pa.RecordBatch, ids: Sequence[str]) -> tuple[Contributions, dict[int, str]]:
        rows = batch.num_rows
        base, margins, values = np.full(rows, np.nan), np.full(rows, np.nan), np.full((rows, batch.num_columns), np.nan)
        failures = dict[int, str]()
        for row, score_id in enumerate(ids):
            if self._sampled is None:
                failures[row] = _NO_BACKGROUND
                continue
            try:
                base[row], values[row], margins[row] = self._sampled.of(batch.slice(row, 1), score_id)
            except Exception as error:  # the model fails on one of the mixed rows
                failures[row] = one_line(error)
        return Contributions(base, values, margins, "same_class" if self._of_class else "score"), failures

    def _say(self, what: str) -> None:
        """Once for each model: what is wrong with one row is mostly wrong with all."""
        if not self._said:
            self._said = True
            _LOG.warning("reasons of %s: %s", self._named, what)


_KNOWN: weakref.WeakKeyDictionary[LoadedModel, Explainer] = weakref.WeakKeyDictionary()
_LOCK = threading.Lock()


def explainer_of(model: LoadedModel) -> Explainer:
    """The explainer of a loaded model, made once; it goes with the model."""
    with _LOCK:
        found = _KNOWN.get(model)
        if found is None:
            found = _KNOWN[model] = Explainer(model)
        return found
