"""Local paths of a job spec: `~` and `${NAME}` in them are expanded by the process that starts the job."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from pipeline.spec.sinks import sink_holders
from pipeline.spec.tables import tables_in
from schemas.problems import Problems
from schemas.validation import SpecError

# A scheme is followed by two slashes, or is a known one: `day:1/in.json` is a path.
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://|(file|gs|s3|az|hdfs|kafka|pubsub|bigquery|stdout):", re.IGNORECASE)
FILE_SCHEMES = ("file", "gs", "s3", "az", "hdfs")
"""Where files are read and written."""
_SERVICES = ("kafka", "pubsub", "bigquery", "stdout")  # where `${NAME}` may stand, or nothing is named
_FILE = re.compile(r"file:(//(localhost(?=/))?)?", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{([^}]*)\}?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Where a spec holds a path, beside its sinks.
_PATHS_AND_URIS = (
    *(("events", "uri"), ("labels", "uri"), ("model", "store"), ("model", "trusted_key"), ("privacy", "keys")),
    ("openlineage", "uri"),
)


def scheme_of(uri: str) -> str:
    """The scheme in lower case, `file` for a plain path."""
    found = _SCHEME.match(uri)
    return (found.group(1) or found.group(2)).lower() if found else "file"


def local_path(uri: str) -> str:
    """The path of a local URI, without its scheme and not decoded; any other URI unchanged."""
    return _FILE.sub("", uri, count=1) if scheme_of(uri) == "file" and _FILE.match(uri) else uri


def expand_paths(document: Mapping[str, Any], problems: Problems) -> None:
    """Expands the local paths of a spec in place. URIs of services are unchanged: each process resolves their `${NAME}`
    itself."""
    for spec_path, holder, key in _paths(document):
        if not problems.sound(spec_path):
            continue
        with problems.gathered():
            check_bucket(holder[key], spec_path)
            if scheme_of(holder[key]) == "file":
                holder[key] = expanded(holder[key], spec_path)


def _paths(document: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Where paths are: their path in the document, the mapping or list that holds them, and their key in it."""
    for section, key in _PATHS_AND_URIS:
        if isinstance(section_of(document, section).get(key), str):
            yield f"{section}.{key}", document[section], key
    yield from sink_holders(document)
    for section, table in tables_in(document):
        if isinstance(table.get("uri"), str):
            yield f"{section}.uri", table, "uri"


def section_of(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A section of a document that may be wrong; empty where it is none, or not there."""
    section = document.get(name)
    return section if isinstance(section, Mapping) else {}


def check_bucket(uri: str, spec_path: str) -> None:
    """Raises `SpecError` for a variable in the name of a bucket: it stays as written, and no bucket has such a name."""
    bucket = uri.partition("://")[2].partition("/")[0]
    if scheme_of(uri) not in ("file", *_SERVICES) and _VARIABLE.search(bucket):
        expected = "a bucket's own name: variables are expanded in local paths only"
        raise SpecError(spec_path, uri, f"{expected}; next: write the name, or let the shell put it in")


def expanded(uri: str, spec_path: str) -> str:
    """A local path or file URI with `~`, `~user` at its start and each `${NAME}` replaced, once.

    Raises:
        SpecError: naming `spec_path`: a variable that is not set or empty, no name between the braces, no such user.
    """
    path = local_path(uri)
    scheme = uri[: len(uri) - len(path)]
    if path.startswith("~"):
        path = _from_home(path, spec_path)
    return scheme + _VARIABLE.sub(lambda found: _value_of(found, uri, spec_path), path)


def _from_home(path: str, spec_path: str) -> str:
    whole = os.path.expanduser(path)
    if whole == path:
        user = PurePath(path).parts[0][1:]
        why = f"there is no user {user}" if user else "this user has no home folder"
        expected = f"a path whose ~ is a home folder ({why}); ./{path} is a name that begins with ~"
        raise SpecError(spec_path, path, expected)
    return whole


def _value_of(found: re.Match[str], uri: str, spec_path: str) -> str:
    name = found.group(1)
    if not found.group(0).endswith("}") or not _NAME.fullmatch(name):
        raise SpecError(spec_path, uri, "a path with variables as ${NAME}")
    value = os.environ.get(name, "")
    if not value:
        state = "is empty" if name in os.environ else "is not set"
        raise SpecError(spec_path, uri, f"a path whose variables are set ({name} {state}); next: export {name}=…")
    return value
