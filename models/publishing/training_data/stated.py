"""What a person names as training data: a URI, a file, or what DVC or MLflow say of a data set."""

import hashlib
import os
from pathlib import Path
from typing import Any

from models.bundles.folders import file_sha256
from models.publishing.training_data.dvc import dvc_data
from models.publishing.training_data.mlflow_datasets import mlflow_data
from models.redaction import holds_credentials, public_uri


def stated_data(text: str, notes: list[str]) -> dict[str, Any]:
    """A data set as the manifest names it; of local files with their sha256. `notes` gets what a person should know.

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
    if "://" not in local and not os.path.exists(local):
        notes.append(f"data {public_uri(text)}: nothing is there, so its sha256 is not recorded")
    return {"uri": public_uri(text)} | _hashed(Path(local))


def _hashed(path: Path) -> dict[str, Any]:
    """The sha256 of a file. Of a folder that of the lines that `sha256sum` prints of its files, sorted by path."""
    if not path.is_dir():
        return {"sha256": file_sha256(path)} if path.is_file() else {}
    files = sorted(str(each.relative_to(path)) for each in path.rglob("*") if each.is_file())
    listing = "".join(f"{file_sha256(path / each)}  ./{each}\n" for each in files)
    size = sum((path / each).stat().st_size for each in files)
    return {"sha256": hashlib.sha256(listing.encode()).hexdigest(), "files": len(files), "size": size}
