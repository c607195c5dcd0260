"""MLflow model folders: by a scorer of ours where their flavour is one, as pyfunc where the job trusts pickles."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.inputs import as_matrix
from models.manifest import Manifest
from models.scorers.answers import Answers, answers_of
from models.scorers.base import Scorer, WillNotLoad, only_file, payload_files, settings

# MLflow 3 reports its use to its makers; a job's worker does not.
_ENVIRONMENT = {"MLFLOW_DISABLE_TELEMETRY": "true"}
# Flavour → our scorer of its file, and the key of `MLmodel` with the file or folder. These run no code of the
# bundle; mlflow's own loaders would (a `loader_module`, a `code` folder, pickles).
_OURS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "onnx": ("onnx", ("data",)),
    "xgboost": ("xgboost", ("data",)),
    "lightgbm": ("lightgbm", ("data",)),
    "sklearn": ("sklearn", ("pickled_model",)),
    "tensorflow": ("tensorflow", ("saved_model_dir",)),
}
_PICKLES = (".pkl", ".pickle", ".joblib")


class MlflowScorer(Scorer):
    """One folder with an `MLmodel` file, anywhere in the bundle.

    Flavours onnx, xgboost, lightgbm (a booster), sklearn (skops) and tensorflow (SavedModel) are scored by
    the scorer of that kind, with its rules, its parameters and its extra. Everything else is code or a
    pickle, to be loaded as pyfunc (sklearn: as an estimator) only by a job with --allow_pickle: a pyfunc gets
    a DataFrame with the manifest's names, or a float64 matrix where its signature is a tensor, and answers
    with one column, the one `parameters.output` names, or one for each class.
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
                f"mlflow: flavours {listed} are code or pickles, which can do anything; allowed: onnx, xgboost, "
                "lightgbm boosters, sklearn by skops, SavedModels, or a job with --allow_pickle"
            )
        return cls(_delegate(found, folder, allow_pickle=False))

    @classmethod
    def load_trusting_pickles(cls, folder: Path, manifest: Manifest) -> Scorer:
        """As `load`; what it refuses is loaded as MLflow does."""
        root, described = _described(folder, manifest)
        found = _ours(described, root, manifest, pickles="sklearn")
        if found is not None:
            return cls(_delegate(found, folder, allow_pickle=True))
        import mlflow.pyfunc

        return cls(_PyfuncScorer(mlflow.pyfunc.load_model(str(folder / root)), manifest))

    def score(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        """As the scorer of the flavour."""
        return self._scorer.score(batch)

    def close(self) -> None:
        """As the scorer of the flavour."""
        self._scorer.close()


class _PyfuncScorer(Scorer):
    """What MLflow itself loads."""

    kind = "mlflow"

    def __init__(self, model: Any, manifest: Manifest) -> None:
        self._output = settings(manifest, "output", "classes").get("output")
        self._model = model
        self._answers: Answers = answers_of(manifest)
        signature = model.metadata.signature
        self._matrix = signature is not None and signature.inputs is not None and signature.inputs.is_tensor_spec()

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> Scorer:
        """As MlflowScorer, which decides what is loaded so."""
        return MlflowScorer.load(folder, manifest)

    def score(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        """Score with the pyfunc; an empty batch does not reach it."""
        if batch.num_rows == 0:
            return np.empty(0, dtype=np.float64)
        answer = self._model.predict(as_matrix(batch) if self._matrix else batch.to_pandas())
        if self._output is not None:
            answer = answer[self._output]
        return self._answers.scores(np.asarray(answer))


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
            raise WillNotLoad(f"mlflow: inputs {', '.join(names)}; allowed: the signature's {listed}")
    return path.removesuffix("MLmodel"), described


def _ours(described: Any, root: str, manifest: Manifest, pickles: str = "") -> Manifest | None:
    """The manifest for the scorer of the model's flavour; None if it is code, or a pickle not of that flavour."""
    for flavour, (kind, keys) in _OURS.items():
        settings_of = described.flavors.get(flavour, {})
        for key in keys:
            place = settings_of.get(key)
            if not isinstance(place, str):
                continue
            files = {
                path: digest
                for path, digest in manifest.files.items()
                if path in payload_files(manifest) and (path + "/").startswith(f"{root}{place}".rstrip("/") + "/")
            }
            if flavour == pickles or not any(path.endswith(_PICKLES) for path in files):
                return replace(manifest, scorer=kind, files=files)
    return None


def _delegate(found: Manifest, folder: Path, allow_pickle: bool) -> Scorer:
    from models.scorers import load_scorer

    try:
        return load_scorer(found.scorer, folder, found, allow_pickle)
    except WillNotLoad as refusal:
        raise WillNotLoad(f"mlflow: {refusal}") from refusal
