"""MLflow model folders: scored by one of our scorers where it knows the flavour, as pyfunc where the job trusts
pickles."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bundles.manifest import Manifest
from models.scorers.base import Scorer, WillNotLoad, only_file, payload_files
from models.scorers.contributions import Contributions
from models.scorers.lightgbm.estimator import EstimatorText, read_estimator
from models.scorers.lightgbm.scorer import LightgbmScorer

# MLflow 3 sends usage telemetry to its makers; a job's worker must not.
_ENVIRONMENT = {"MLFLOW_DISABLE_TELEMETRY": "true"}
# Flavour → our scorer for its file, and the key in `MLmodel` of that file or folder. These run no code from the bundle;
# MLflow's own loaders would (a `loader_module`, a `code` folder, pickles).
OURS: Mapping[str, tuple[str, str]] = {
    "onnx": ("onnx", "data"),
    "xgboost": ("xgboost", "data"),
    "lightgbm": ("lightgbm", "data"),
    "sklearn": ("sklearn", "pickled_model"),
    "tensorflow": ("tensorflow", "saved_model_dir"),
}
PICKLES = (".pkl", ".pickle", ".joblib")
_ALLOWED = (
    "onnx, xgboost, lightgbm (boosters, or estimators by skops), sklearn by skops, SavedModels, or a job with "
    "--allow_pickle"
)


class _Found(NamedTuple):
    """The flavour that one of our scorers reads, and the manifest for that scorer: its kind and its files."""

    flavour: str
    manifest: Manifest

    @property
    def pickles(self) -> list[str]:
        return [path for path in self.manifest.files if path.endswith(PICKLES)]

    @property
    def estimator(self) -> str | None:
        """The file of an estimator of LightGBM."""
        named = [path for path in self.manifest.files if path.endswith(".skops")]
        return named[0] if named and self.flavour == "lightgbm" else None


class MlflowScorer(Scorer):
    """One folder with an `MLmodel` file, anywhere in the bundle.

    Flavours onnx, xgboost, lightgbm (a booster, or LightGBM's estimators by skops), sklearn (skops) and tensorflow
    (SavedModel) are scored by the scorer of that kind, with its rules, its parameters and its extra. Everything else
    is code or a pickle, to be loaded only by a job with --allow_pickle: sklearn and lightgbm as estimators, all else
    as pyfunc (`PyfuncScorer`).
    """

    kind = "mlflow"
    requires = ("mlflow", "pandas")

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> Scorer:
        """Load a model that needs neither pickles nor code from the bundle."""
        root, described = _described(folder, manifest)
        found = _ours(described, root, manifest)
        if found is None:
            listed = ", ".join(sorted(described.flavors))
            raise WillNotLoad(
                f"mlflow: flavours {listed} are code or pickles, which can do anything; expected: {_ALLOWED}"
            )
        if found.pickles:
            raise WillNotLoad(
                f"mlflow: {found.pickles[0]} of flavour {found.flavour} is a pickle, which can do anything; "
                f"expected: {_ALLOWED}"
            )
        return cls(_delegate(found, folder, allow_pickle=False))

    @classmethod
    def load_trusting_pickles(cls, folder: Path, manifest: Manifest) -> Scorer:
        """As `load`; what that refuses is loaded by MLflow."""
        root, described = _described(folder, manifest)
        found = _ours(described, root, manifest)
        if found is not None and found.pickles and found.flavour == "lightgbm":
            return cls(_unpickled_lightgbm(found, folder / root))
        if found is not None and (found.flavour == "sklearn" or not found.pickles):
            return cls(_delegate(found, folder, allow_pickle=True))
        from models.scorers.mlflow.pyfunc import PyfuncScorer

        return cls(PyfuncScorer.load(folder / root, manifest))

    def score(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        """As the scorer of the flavour."""
        return self._scorer.score(batch)

    def labels(self) -> Mapping[float, str]:
        """As the scorer of the flavour."""
        return self._scorer.labels()

    def doubts(self, batch: pa.RecordBatch) -> str:
        """As the scorer of the flavour."""
        return self._scorer.doubts(batch)

    def unseen(self, batch: pa.RecordBatch) -> Mapping[str, int]:
        """As the scorer of the flavour."""
        return self._scorer.unseen(batch)

    def contributions(self, batch: pa.RecordBatch) -> Contributions | None:
        """As the scorer of the flavour."""
        return self._scorer.contributions(batch)

    def prepare_contributions(self) -> None:
        """As the scorer of the flavour."""
        self._scorer.prepare_contributions()

    def interrupt(self) -> None:
        """As the scorer of the flavour."""
        self._scorer.interrupt()

    def close(self) -> None:
        """As the scorer of the flavour."""
        self._scorer.close()


def _described(folder: Path, manifest: Manifest) -> tuple[str, Any]:
    """The model's folder within the bundle ("" for the bundle itself) and what its `MLmodel` says."""
    path = only_file(manifest, ["MLmodel"])
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow.models import Model

    described = Model.load(str(folder / path))
    signature = described.signature
    if signature is not None and signature.inputs is not None and signature.inputs.has_input_names():
        names = [entry.name for entry in manifest.inputs]
        signed, required = signature.inputs.input_names(), signature.inputs.required_input_names()
        if set(names) - set(signed) or set(required) - set(names):
            listed = ", ".join(str(name) for name in signed)
            raise WillNotLoad(f"mlflow: inputs {', '.join(names)}; expected: the signature's {listed}")
    return path.removesuffix("MLmodel"), described


def _ours(described: Any, root: str, manifest: Manifest) -> _Found | None:
    """The flavour that one of our scorers reads, with its files; None if there is none."""
    for flavour, (kind, key) in OURS.items():
        data_path = described.flavors.get(flavour, {}).get(key)
        if isinstance(data_path, str):
            files = {
                path: digest
                for path, digest in manifest.files.items()
                if path in payload_files(manifest) and (path + "/").startswith(f"{root}{data_path}".rstrip("/") + "/")
            }
            return _Found(flavour, replace(manifest, scorer=kind, files=files))
    return None


def _delegate(found: _Found, folder: Path, allow_pickle: bool) -> Scorer:
    from models.scorers import load_scorer

    try:
        if found.estimator is not None:
            return _of_estimator(read_estimator(folder / found.estimator), found.manifest)
        return load_scorer(found.manifest.scorer, folder, found.manifest, allow_pickle)
    except WillNotLoad as refusal:
        raise WillNotLoad(f"mlflow: {refusal}") from refusal


def _unpickled_lightgbm(found: _Found, folder: Path) -> Scorer:
    """An estimator or booster in a pickle, scored by its booster, so that it gives probabilities, not labels."""
    import mlflow.lightgbm

    model = mlflow.lightgbm.load_model(str(folder))
    booster = getattr(model, "booster_", model)
    classes = getattr(model, "classes_", None)
    named = None if classes is None else tuple(str(label) for label in np.asarray(classes).tolist())
    text = booster.model_to_string(num_iteration=-1).encode()
    return _of_estimator(EstimatorText(text, named, max(booster.best_iteration, 0)), found.manifest)


def _of_estimator(estimator: EstimatorText, manifest: Manifest) -> Scorer:
    from models.scorers import scorer_class

    scorer_class("lightgbm")  # its library may be absent
    return LightgbmScorer.of_text(estimator.text, manifest, estimator.classes, estimator.best_iteration)
