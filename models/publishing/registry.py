"""A model in an MLflow registry, downloaded with its run's information about the training."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.distribution import installing
from models.errors import one_line
from models.publishing.description import CannotPublish, Provenance
from models.publishing.training_data.mlflow_datasets import CONTEXT, dataset_entry
from models.redaction import public_uri
from schemas.times import format_time_us

_REFERENCE = re.compile(r"models:/(?P<name>[^@]+?)(@(?P<alias>[^@/]+)|/(?P<version>\d+))")
_ALLOWED = "models:/NAME@ALIAS or models:/NAME/VERSION"


def is_reference(text: str) -> bool:
    """Whether a text names a model in a registry rather than a path."""
    return text.startswith("models:/")


def fetch_registered(reference: str, tracking_uri: str | None, into: Path) -> tuple[Path, Provenance]:
    """Download a registered model and what its run logged.

    Args:
        reference: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.
        tracking_uri: the tracking server; None takes MLflow's own setting (MLFLOW_TRACKING_URI).
        into: an existing folder.

    Returns:
        The model's folder below `into`; metrics as quality, parameters as hyperparameters, datasets as data.

    Raises:
        CannotPublish: the reference is not valid, MLflow is not installed, or its registry does not answer.
    """
    found = _REFERENCE.fullmatch(reference)
    if not found:
        raise CannotPublish(f"{reference!r} is not allowed; expected: {_ALLOWED}")
    try:
        import mlflow
    except ImportError as error:
        raise CannotPublish(f"{reference}: {one_line(error)}; {installing('mlflow')}") from None
    try:
        client = mlflow.MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
        version = (
            client.get_model_version_by_alias(found["name"], found["alias"])
            if found["alias"]
            else client.get_model_version(found["name"], found["version"])
        )
        # By number: an alias may be moved between this line and the download.
        exact = f"models:/{found['name']}/{version.version}"
        folder = mlflow.artifacts.download_artifacts(exact, dst_path=str(into), tracking_uri=tracking_uri)
        run = client.get_run(version.run_id) if version.run_id else None
    except Exception as error:
        # Stores, servers and databases behind MLflow raise whatever they raise.
        raise CannotPublish(f"{reference} cannot be fetched: {one_line(error)}") from error
    return Path(folder), Provenance() if run is None else _provenance(run, exact)


def _provenance(run: Any, exact: str) -> Provenance:
    ended_ms = run.info.end_time or run.info.start_time
    metrics = {name: float(value) for name, value in run.data.metrics.items() if math.isfinite(value)}
    commit = run.data.tags.get("mlflow.source.git.commit")
    source = run.data.tags.get("mlflow.source.name")
    inputs = getattr(run.inputs, "dataset_inputs", None) or ()
    return Provenance(
        trained_at=None if ended_ms is None else format_time_us(ended_ms * 1000),
        code=":".join(part for part in (source and public_uri(source), commit) if part) or None,
        parameters={"mlflow_model": exact, "mlflow_run": run.info.run_id},
        hyperparameters=dict(run.data.params),
        data=tuple(_data(each) for each in inputs),
        quality={name: value for name, value in metrics.items() if name != "by_segment"},
    )


def _data(given: Any) -> Mapping[str, Any]:
    """A data set that a run logged, as the manifest names it."""
    dataset, contexts = given.dataset, [tag.value for tag in given.tags or () if tag.key == CONTEXT]
    said = {name: getattr(dataset, name, None) for name in ("name", "digest", "source", "source_type", "profile")}
    return dataset_entry(said, context=next(iter(contexts), None))
