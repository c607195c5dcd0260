"""A data set that MLflow knows: of a run in a local `mlruns` folder, or as the JSON of `Dataset.to_json()`."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.publishing.description import CannotPublish
from models.publishing.training_data.texts import MOST_BYTES, listed, read_mapping, text_of
from models.redaction import public_uri

_META = "meta.yaml"
CONTEXT = "mlflow.data.context"
"""The tag that says what a run used a data set for."""
_COMMIT = "mlflow.source.git.commit"
_ID = re.compile(r"[0-9a-f]{1,64}")
_OF_DATASET = ("name", "digest", "source", "source_type")
_WHAT = "the folder of an MLflow run or data set in a local mlruns, or the JSON of Dataset.to_json()"
_MOST_INPUTS = 1000


def mlflow_data(text: str, notes: list[str]) -> dict[str, Any] | None:
    """What the manifest says of a data set of MLflow; None for a text that names none.

    Args:
        text: a run's folder or its `meta.yaml`, `RUN#NAME` (or its context or digest) where a run has several data
            sets, a data set's folder or `meta.yaml`, or a `.json` file.
        notes: gets a line that says what it was taken for.

    Raises:
        CannotPublish: it cannot be read as that, or it is not clear which data set is meant.
    """
    name, _, wanted = (text, "", "") if os.path.exists(text) else text.partition("#")
    path = Path(name)
    if path.suffix == ".json" and os.path.isfile(path):
        found = _of_json(path)
    else:
        folder = path.parent if path.name == _META and os.path.isfile(path) else path
        found = _of_folder(folder, wanted, explicit=folder is not path)
    if found is not None:
        notes.append(f"data {text}: the data set {found['name']!r} of MLflow, digest {found['digest']}")
    return found


def dataset_entry(said: Mapping[str, Any], **more: str | None) -> dict[str, Any]:
    """What the manifest says of a data set with MLflow's `name`, `digest`, `source`, `source_type` and `profile`.

    MLflow's digest is not a sha256 of the data, so none is claimed; `revision` is that of the source, where it has one.
    """
    source, profile = _json_of(said.get("source")), _json_of(said.get("profile"))
    tags = source.get("tags")
    locations = (text_of(source, key) for key in ("uri", "url", "path", "delta_table_name", "table_name"))
    uri = next((each for each in locations if each is not None), f"mlflow-dataset:{said.get('name')}")
    revisions = (source.get("revision"), source.get("delta_table_version"), _commit(tags))
    revision = next((str(each) for each in revisions if isinstance(each, str | int)), None)
    rows = profile.get("num_rows")
    known = {
        "uri": public_uri(uri),
        "rows": rows if isinstance(rows, int) and not isinstance(rows, bool) and rows >= 0 else None,
        **{key: text_of(said, key) for key in ("name", "digest", "source_type")},
        "revision": revision,
        **more,
    }
    return {key: value for key, value in known.items() if value is not None}


def _commit(tags: Any) -> str | None:
    return text_of(tags, _COMMIT) if isinstance(tags, dict) else None


def _of_json(path: Path) -> dict[str, Any] | None:
    """None for a file of data."""
    if path.stat().st_size > MOST_BYTES:
        return None
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    is_dataset = isinstance(found, dict) and all(text_of(found, key) for key in ("name", "digest", "source_type"))
    return dataset_entry(found) if is_dataset and "source" in found else None


def _of_folder(folder: Path, wanted: str, explicit: bool) -> dict[str, Any] | None:
    meta = folder / _META
    if not os.path.isfile(meta) or not (
        explicit or os.path.isdir(folder / "inputs") or folder.parent.name == "datasets"
    ):
        if wanted and os.path.isdir(folder):
            raise CannotPublish(f"--data {folder}#{wanted} names no run of MLflow; expected: {_WHAT}")
        return None
    document = read_mapping(meta, _WHAT)
    run = text_of(document, "run_id") or text_of(document, "run_uuid")
    if run is not None:
        return _of_run(folder, run, wanted)
    if all(text_of(document, key) for key in _OF_DATASET) and not wanted:
        return dataset_entry(document)
    raise CannotPublish(f"{meta} is neither a run nor a data set of MLflow; expected: {_WHAT}")


def _of_run(folder: Path, run: str, wanted: str) -> dict[str, Any]:
    found = [_of_input(folder, run, each) for each in sorted((folder / "inputs").glob(f"*/{_META}"))[:_MOST_INPUTS]]
    fitting = [
        each for each in found if not wanted or wanted in (each.get("name"), each.get("context"), each.get("digest"))
    ]
    if len(fitting) == 1:
        return fitting[0]
    if not found:
        raise CannotPublish(f"run {folder} has no data sets; expected: those of mlflow.log_input, or a URI of the data")
    choices = [
        f"#{each.get('name')} ({each.get('context') or 'no context'}, digest {each.get('digest')})" for each in found
    ]
    said = f"#{wanted} fits {len(fitting) or 'none'} of its" if wanted else f" has {len(found)}"
    raise CannotPublish(f"--data {folder}{said} data sets; expected: # and name, context or digest: {listed(choices)}")


def _of_input(folder: Path, run: str, meta: Path) -> dict[str, Any]:
    linked = read_mapping(meta, _WHAT)
    dataset, tags = text_of(linked, "source_id") or "", linked.get("tags")
    if not _ID.fullmatch(dataset):
        raise CannotPublish(f"{meta} names the data set {dataset!r:.80}; expected: an id of MLflow")
    document = read_mapping(folder.parent / "datasets" / dataset / _META, _WHAT)
    context = text_of(tags, CONTEXT) if isinstance(tags, dict) else None
    return dataset_entry(document, context=context, run=run)


def _json_of(text: Any) -> dict[str, Any]:
    if isinstance(text, Mapping):
        return dict(text)
    try:
        found = json.loads(text or "{}")
    except (ValueError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
