"""A data set that DVC keeps: an output, or an input, that a `.dvc` file or `dvc.lock` names with its hash."""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from models.publishing.description import CannotPublish
from models.publishing.training_data.repository import revision_of
from models.publishing.training_data.texts import listed, number_of, read_mapping, text_of
from models.redaction import public_uri

_FORM = re.compile(r"(?P<file>(?:.*?/)?(?:dvc\.lock|[^/]*\.dvc))(?:#(?P<stage>[^:]*))?(?::(?P<path>.+))?", re.DOTALL)
_LOCK = "dvc.lock"
_WHAT = "a .dvc file or dvc.lock as DVC writes them"
_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
# The hash that DVC has of a data set: its own, or what the storage of the data says.
_HASHES = ("md5", "etag", "checksum")
_SCHEMES = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")


class KeptByDvc(NamedTuple):
    """One data set in such a file: the stage that makes or reads it (empty in a `.dvc` file), whether the stage made
    it, and what is said of it."""

    stage: str
    made: bool
    path: str
    said: Mapping[str, Any]


def dvc_data(text: str, notes: list[str]) -> dict[str, Any] | None:
    """What the manifest says of a data set that DVC keeps; None for a text that names no file of DVC.

    Args:
        text: `FILE`, `FILE#STAGE`, `FILE:PATH` or `FILE#STAGE:PATH`, with `FILE` a `.dvc` file or `dvc.lock`.
        notes: gets a line for each thing that is not as it should be.

    Raises:
        CannotPublish: there is no such file, it cannot be read, or it is not clear which of its data sets is meant.
    """
    form = _FORM.fullmatch(text)
    if form is None:
        return None
    whole = os.path.isfile(text)
    file = Path(text if whole else form["file"])
    stage, path = (None, None) if whole else (form["stage"], form["path"])
    if not os.path.isfile(file):
        raise CannotPublish(f"--data {text}: there is no file {file}; expected: {_WHAT}, or another URI of the data")
    document = read_mapping(file, _WHAT)
    chosen = _chosen(text, list(_tracked(file, document)), stage, path)
    revision = revision_of(file)
    if revision.why:
        notes.append(f"data {file}: no revision is recorded, since {revision.why}; next: commit it first")
    known = {"stage": chosen.stage or None, "dvc": str(file), "revision": revision.commit, **_imported(document)}
    return _described(file, document, chosen, notes) | {key: value for key, value in known.items() if value}


def _tracked(file: Path, document: Mapping[str, Any]) -> Iterator[KeptByDvc]:
    if file.name != _LOCK:
        yield from _entries(file, "", document, "outs")
        return
    if document.get("schema", "1.0") not in ("1.0", "2.0"):
        raise CannotPublish(f"{file} has the schema {document['schema']!r:.80}; allowed: 1.0, 2.0")
    stages = document.get("stages") if "schema" in document else document
    for name, stage in (stages if isinstance(stages, dict) else {}).items():
        if isinstance(stage, dict):
            yield from _entries(file, str(name), stage, "outs")
            yield from _entries(file, str(name), stage, "deps")


def _entries(file: Path, stage: str, holder: Mapping[str, Any], key: str) -> Iterator[KeptByDvc]:
    found = holder.get(key) or []
    for each in found if isinstance(found, list) else [found]:
        path = text_of(each, "path") if isinstance(each, dict) else None
        if path is None:
            raise CannotPublish(f"{file} has something without a path in {key}; expected: {_WHAT}")
        yield KeptByDvc(stage, key == "outs", path, each)


def _chosen(text: str, known: list[KeptByDvc], stage: str | None, path: str | None) -> KeptByDvc:
    """What is meant: of a path an output before an input, without one the only output."""
    fitting = [each for each in known if stage in (None, each.stage) and path in (None, each.path)]
    made = [each for each in fitting if each.made]
    wanted = made or ([] if path is None else fitting)
    if path is not None and len({_hash_of(each) for each in wanted}) == 1:  # several stages read the same
        wanted = wanted[:1]
    if len(wanted) == 1:
        return wanted[0]
    choices = [f"#{each.stage}:{each.path}" if each.stage else f":{each.path}" for each in known]
    why = "does not say which data set is meant" if wanted else "names no data set that is there"
    raise CannotPublish(f"--data {text} {why}; expected: its file with one of {listed(choices) or 'none: it has none'}")


def _hash_of(tracked: KeptByDvc) -> tuple[str, str] | None:
    found = ((kind, text_of(tracked.said, kind)) for kind in _HASHES)
    return next(((kind, value) for kind, value in found if value is not None), None)


def _described(file: Path, document: Mapping[str, Any], chosen: KeptByDvc, notes: list[str]) -> dict[str, Any]:
    hashed = _hash_of(chosen)
    if hashed is None or (hashed[0] == "md5" and not _MD5.fullmatch(hashed[1])):
        found = f"{file}: {chosen.path} has {'no hash' if hashed is None else f'the md5 {hashed[1]!r:.80}'}"
        raise CannotPublish(f"{found}; expected: one, such as dvc add and dvc commit write")
    size, files = number_of(chosen.said, "size"), number_of(chosen.said, "nfiles")
    described = {hashed[0]: hashed[1], "size": size, "files": files, "path": public_uri(chosen.path)}
    if _SCHEMES.match(chosen.path):
        return {"uri": public_uri(chosen.path)} | _without_nulls(described)
    local = Path(os.path.normpath(file.parent / (text_of(document, "wdir") or "") / chosen.path))
    sha256 = None
    # Files from before DVC 3 have no `hash`: their md5 is of text with other line ends.
    if hashed[0] == "md5" and chosen.said.get("hash") == "md5" and os.path.isfile(local):
        sha256 = _sha256_where(local, hashed[1], size)
        if sha256 is None:
            notes.append(f"data {local}: what is there now is not what {file} names; its md5 would be {hashed[1]}")
    return {"uri": local.as_posix()} | _without_nulls({"sha256": sha256, **described})


def _sha256_where(local: Path, md5: str, size: int | None) -> str | None:
    """The sha256 of a file that has this md5: of another file nothing is told, since its path is somebody else's."""
    if size not in (None, local.stat().st_size):
        return None
    own, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with local.open("rb") as stream:
        while part := stream.read(1024 * 1024):
            own.update(part)
            sha256.update(part)
    return sha256.hexdigest() if own.hexdigest() == md5 else None


def _imported(document: Mapping[str, Any]) -> dict[str, Any]:
    """Where `dvc import` or `dvc import-url` took the data from, and at which commit."""
    deps = document.get("deps")
    first = deps[0] if isinstance(deps, list) and deps and isinstance(deps[0], dict) else {}
    path, repository = text_of(first, "path"), first.get("repo")
    if not isinstance(repository, dict):
        return {} if path is None else {"source": public_uri(path)}
    url, commit = text_of(repository, "url"), text_of(repository, "rev_lock")
    known = {"source": None if url is None else public_uri(url), "source_path": path}
    return known | {"source_revision": commit if commit and _COMMIT.fullmatch(commit) else None}


def _without_nulls(found: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if value is not None}
