"""Scorers by kind: entry points of the group `halflife.scorers`; the built-in ones also in a checkout."""

import importlib
import importlib.util
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

from models.bundles.manifest import Manifest
from models.distribution import installing
from models.errors import BundleRefused, one_line
from models.scorers.base import NotReady, PartlyScored, Scorer, UnknownScorer, WillNotLoad
from schemas.columns import VALUES
from schemas.expectations import did_you_mean, wants

__all__ = [
    "BUILT_IN",
    "GROUP",
    "NotReady",
    "PartlyScored",
    "Scorer",
    "UnknownScorer",
    "WillNotLoad",
    "installed_kinds",
    "load_scorer",
    "scorer_class",
]

GROUP = "halflife.scorers"
BUILT_IN = {
    "beam": "models.scorers.beam:BeamScorer",
    "lightgbm": "models.scorers.lightgbm.scorer:LightgbmScorer",
    "linear": "models.scorers.linear:LinearScorer",
    "mlflow": "models.scorers.mlflow.scorer:MlflowScorer",
    "onnx": "models.scorers.onnx.scorer:OnnxScorer",
    "openinference": "models.scorers.remote.protocols.openinference:OpenInferenceScorer",
    "pmml": "models.scorers.pmml.scorer:PmmlScorer",
    "sagemaker": "models.scorers.remote.protocols.sagemaker:SagemakerScorer",
    "sklearn": "models.scorers.sklearn.scorer:SklearnScorer",
    "tensorflow": "models.scorers.tensorflow.scorer:TensorflowScorer",
    "tfserving": "models.scorers.remote.protocols.tfserving:TfservingScorer",
    "xgboost": "models.scorers.xgboost:XgboostScorer",
}


def installed_kinds() -> list[str]:
    """Every kind a manifest may name here, sorted."""
    return sorted({*BUILT_IN, *entry_points(group=GROUP).names})


def load_scorer(
    kind: str, folder: Path, manifest: Manifest, allow_pickle: bool = False, trusting: bool = False
) -> Scorer:
    """Load a bundle's model.

    Args:
        kind: the manifest's `scorer`.
        folder: the bundle, its files verified.
        manifest: the bundle's manifest.
        allow_pickle: whether a pickle, which can run any code, may be opened.
        trusting: whether the types that the manifest names under `trust` may be made; admission decides that.

    Raises:
        UnknownScorer: no such kind, or its library is not installed; lists what is installed.
        WillNotLoad: the scorer raised anything, or an input is of a kind that it does not take.
    """
    scorer = scorer_class(kind)
    manifest = manifest if trusting else replace(manifest, trust=())
    _check_inputs(scorer, manifest)
    try:
        return (scorer.load_trusting_pickles if allow_pickle else scorer.load)(folder, manifest)
    except BundleRefused:
        raise
    except Exception as error:
        # Whatever a library raises on an untrusted file means that this model will not load.
        raise WillNotLoad(f"{kind}: {one_line(error)}") from error


def _check_inputs(scorer: type[Scorer], manifest: Manifest) -> None:
    for entry in manifest.inputs:
        if entry.type not in VALUES and not scorer.takes_vectors:
            others = "vectors and timestamps are for scorers such as onnx, sklearn and tensorflow"
            expected = wants(f"{', '.join(VALUES)}; {others}")
            raise WillNotLoad(f"{manifest.scorer}: input {entry.name!r} is a {entry.type}; {expected}")


def scorer_class(kind: str) -> type[Scorer]:
    """The class of a kind. Raises `UnknownScorer`: there is none, or its library is not installed."""
    if kind in BUILT_IN:  # first: a plug-in cannot stand in for a built-in kind
        return _checked(kind, BUILT_IN[kind])
    for entry in entry_points(group=GROUP, name=kind):
        return _checked(kind, entry.value)
    kinds = installed_kinds()
    raise UnknownScorer(f"scorer {kind!r} is not installed; allowed: {', '.join(kinds)}{did_you_mean(kind, kinds)}")


def _checked(kind: str, location: str) -> type[Scorer]:
    module, _, name = location.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UnknownScorer(f"scorer {kind!r} cannot be imported from {location}: {one_line(error)}") from None
    if not (isinstance(found, type) and issubclass(found, Scorer)):
        raise UnknownScorer(f"scorer {kind!r}: {location} is not allowed; expected: a subclass of Scorer")
    missing = [library for library in found.requires if importlib.util.find_spec(library) is None]
    if missing:
        raise UnknownScorer(f"scorer {kind!r} needs {', '.join(missing)}; {installing(kind)}")
    return found
