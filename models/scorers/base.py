"""What a scorer is.

A new kind subclasses `Scorer` and is found through the entry points `halflife.scorers`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bundles.manifest import Manifest
from models.errors import BundleRefused, NotScored
from models.scorers.contributions import Contributions
from schemas.expectations import wants
from schemas.reasons import in_words


class UnknownScorer(BundleRefused):
    """No scorer of this kind is installed, or a library it needs is not."""

    reason: ClassVar[str] = "unknown_scorer"


A_DEFAULT = "a default, or an input that is not nullable"
"""What an input needs that may be null, for a model that has no null."""


class WillNotLoad(BundleRefused):
    """The payload is not a model of its kind, or does not fit the manifest."""

    reason: ClassVar[str] = "will_not_load"


class NotReady(WillNotLoad):
    """A service that the model needs does not answer now: no verdict on the bundle, ask again."""

    passing: ClassVar[bool] = True


class PartlyScored(NotScored):
    """A scorer scored only some records of a batch, and must not be asked again for parts of it.

    Args:
        scores: float64 of shape (n,), NaN for each record without a score.
        failures: (error, detail) of each of these by row; both one line.
        unavailable: whether the model did not answer, as opposed to faulty records.
    """

    def __init__(
        self, scores: npt.NDArray[np.float64], failures: Mapping[int, tuple[str, str]], unavailable: bool
    ) -> None:
        super().__init__(scores, failures, unavailable)
        self.scores = scores
        self.failures = failures
        self.unavailable = unavailable

    def __str__(self) -> str:
        row = min(self.failures)
        error, detail = self.failures[row]
        said = f"{len(self.failures)} of {len(self.scores)} records not scored; record {row + 1}"
        return f"{said}: {in_words(error)}: {detail}"


class Scorer(ABC):
    """A loaded model. It knows nothing of Beam, keeps no state between calls and is called by many threads.

    Libraries are imported inside `load`, never at the top of the module.
    """

    kind: ClassVar[str]
    """The `scorer` of the manifests it serves."""

    takes_vectors: ClassVar[bool] = False
    """Whether its inputs may be vectors, and timestamps (as whole numbers of 64 bits)."""

    requires: ClassVar[tuple[str, ...]] = ()
    """Modules it imports in `load`; where one is absent the kind counts as not installed."""

    asks_server: ClassVar[bool] = False
    """Whether another machine computes its scores, so that each more record that is scored is work for others."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, manifest: Manifest) -> "Scorer":
        """Load the model from a folder whose files have been verified. Opens no pickle.

        Raises:
            WillNotLoad: preferably; any other exception counts as one.
        """

    @classmethod
    def load_trusting_pickles(cls, folder: Path, manifest: Manifest) -> "Scorer":
        """As `load`, in a job started with `--allow_pickle`; to be overridden by kinds that have pickles."""
        return cls.load(folder, manifest)

    @abstractmethod
    def score(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        """Score a batch as `prepare_inputs` makes it: the manifest's inputs, in its order and types.

        Returns:
            float64 of shape (n,) in the order of the rows; n may be 0. NaN is never a score: the caller
            refuses it.

        Raises:
            PartlyScored: some records have no score, each with its reason; any other exception makes the
                caller halve the batch down to the record that raises it.
        """

    def interrupt(self) -> None:
        """End the running call of `score`, and later ones, with an error, where the library can.

        Called from another thread, when a bundle's trial has taken too long; nothing waits for its scores any more.
        Where a library cannot be interrupted its thread continues beside the job.
        """
        return None

    def labels(self) -> Mapping[float, str]:
        """The label of each score of output `class`, in the order of the model's classes; for another output the labels
        by class index. Empty where neither the model nor the manifest states them.
        """
        return {}

    def doubts(self, batch: pa.RecordBatch) -> str:
        """An objection to columns such as these, in one line, or ""; used when a model is published.

        For values that `score` must answer in a single record, but that are a mistake if the whole sample has them.
        """
        return ""

    def unseen(self, batch: pa.RecordBatch) -> Mapping[str, int]:
        """How many values of each input are categories that the model never saw but answers for nevertheless.

        The job calls it for rows with scores and counts the values, so that such answers are not silent. Inputs without
        such values may be left out. Where such a value is an error (`PartlyScored`) there are none.
        """
        return {}

    def contributions(self, batch: pa.RecordBatch) -> Contributions | None:
        """What each input added to the scores of a batch such as `score` takes, n > 0 rows that have scores.

        None where the kind has no method of its own: then the job asks for scores of mixed rows and compares
        (docs/explaining.md). What does not add up, or raises, costs the reasons and never the score.
        """
        return None

    def prepare_contributions(self) -> None:
        """Called once before the contributions of many rows are asked for; a kind may make what speeds them up."""
        return None

    def close(self) -> None:
        """Release what garbage collection does not (connections, processes).

        Called once, after the last score.
        """
        return None


def payload_files(manifest: Manifest) -> list[str]:
    """The paths that belong to the model itself: not the profile, golden records, training records or explainer."""
    golden = None if manifest.golden is None else manifest.golden.file
    aside = {manifest.profile, golden, manifest.training.get("records"), manifest.explainer}
    return [path for path in manifest.files if path not in aside]


def only_file(manifest: Manifest, suffixes: Iterable[str]) -> str:
    """The one payload path that ends with one of `suffixes`.

    Raises:
        WillNotLoad: there is none, or more than one.
    """
    wanted = tuple(suffixes)
    found = [path for path in payload_files(manifest) if path.endswith(wanted)]
    if len(found) != 1:
        listed = ", ".join(sorted(found or payload_files(manifest))) or "none"
        raise WillNotLoad(f"{manifest.scorer}: files {listed}; expected: exactly one of {', '.join(wanted)}")
    return found[0]


def settings(manifest: Manifest, *allowed: str) -> Mapping[str, Any]:
    """The manifest's `parameters`; the kind ignores none of them silently.

    Raises:
        WillNotLoad: one is not among `allowed`.
    """
    for name in manifest.parameters:
        if name not in allowed:
            listed = ", ".join(allowed) or "none"
            raise WillNotLoad(f"{manifest.scorer}: parameter {name!r} is unknown; {wants(listed)}")
    return manifest.parameters
