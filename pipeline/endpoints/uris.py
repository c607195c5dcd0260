"""URIs as people write them: plain paths are local files, relative ones start at the working directory."""

import re
from pathlib import Path

from schemas.validation import SpecError

# A scheme has two slashes behind it, or is one that is known: `day:1/in.json` is a path.
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://|(file|gs|s3|az|hdfs|kafka|pubsub|bigquery|stdout):", re.IGNORECASE)
_FILE = re.compile(r"file:(//(localhost(?=/))?)?", re.IGNORECASE)
FILE_SCHEMES = ("file", "gs", "s3", "az", "hdfs")
STDOUT = "stdout:"
# The id of a project of Google Cloud, with its domain before it where it has one.
GOOGLE_PROJECT = re.compile(r"([a-z0-9.-]+:)?[a-z][-a-z0-9]{4,28}[a-z0-9]")


def scheme_of(uri: str) -> str:
    """The scheme in lower case, `file` for a plain path."""
    found = _SCHEME.match(uri)
    return (found.group(1) or found.group(2)).lower() if found else "file"


def absolute(uri: str) -> str:
    """The URI with a scheme, local paths made absolute (without looking at the disk)."""
    if scheme_of(uri) != "file":
        return uri
    return "file://" + str(Path.cwd() / beam_path(uri))


def beam_path(uri: str) -> str:
    """The form in which Beam's file systems take a URI: local files without a scheme, and nothing in them decoded."""
    return _FILE.sub("", uri, count=1) if scheme_of(uri) == "file" and _FILE.match(uri) else uri


def check_scheme(uri: str, place: str, others: tuple[str, ...] = (), schemes: tuple[str, ...] = FILE_SCHEMES) -> None:
    """Raises `SpecError` for a scheme that is none of `schemes`; `others` are whole URIs that are allowed too."""
    known = scheme_of(uri) in schemes and (scheme_of(uri) == "file" or "://" in uri)
    if not known and uri not in others:
        allowed = f"a path or a URI with one of the schemes {', '.join(schemes)}"
        raise SpecError(place, uri, " or ".join([allowed, *others]))
