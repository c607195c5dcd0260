"""What a person names as training data: a URI, a file, or what DVC or MLflow say of a data set."""

import os
from pathlib import Path
from typing import Any

from models.bundles.folders import file_sha256
from models.publishing.training_data.dvc import dvc_data
from models.publishing.training_data.mlflow_datasets import mlflow_data
from models.redaction import holds_credentials, public_uri


def stated_data(text: str, notes: list[str]) -> dict[str, Any]:
    """A data set as the manifest names it; of a local file with its sha256. `notes` gets what a person should know.

    Raises:
        CannotPublish: a file of DVC or MLflow cannot be read, or it is not clear which data set is meant.
    """
    local = text.removeprefix("file://")
    if "://" not in local:
        for read in (dvc_data, mlflow_data):
            found = read(local, notes)
            if found is not None:
                return found
    if holds_credentials(text):
        notes.append(f"data {public_uri(text)}: user, query and fragment were left out")
    return {"uri": public_uri(text)} | ({"sha256": file_sha256(Path(local))} if os.path.isfile(local) else {})
