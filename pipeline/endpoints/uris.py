"""URIs as people write them: plain paths are local files, relative ones start at the working directory."""

import re
from pathlib import Path

from schemas.validation import SpecError

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):(//)?", re.IGNORECASE)
FILE_SCHEMES = ("file", "gs", "s3", "az", "hdfs")
STDOUT = "stdout:"
# The id of a project of Google Cloud, with its domain before it where it has one.
GOOGLE_PROJECT = re.compile(r"([a-z0-9.-]+:)?[a-z][-a-z0-9]{4,28}[a-z0-9]")


def scheme_of(uri: str) -> str:
    """The scheme in lower case, `file` for a plain path."""
    found = _SCHEME.match(uri)
    return found.group(1).lower() if found else "file"


def absolute(uri: str) -> str:
    """The URI with a scheme, local paths made absolute (without looking at the disk)."""
    if scheme_of(uri) != "file":
        return uri
    return "file://" + str(Path.cwd() / uri.removeprefix("file://"))


def beam_path(uri: str) -> str:
    """The form in which Beam's file systems take a URI: local files without a scheme."""
    return uri.removeprefix("file://")


def check_scheme(uri: str, place: str, others: tuple[str, ...] = (), schemes: tuple[str, ...] = FILE_SCHEMES) -> None:
    """Raises `SpecError` for a scheme that is none of `schemes`; `others` are whole URIs that are allowed too."""
    known = scheme_of(uri) in schemes and (scheme_of(uri) == "file" or "://" in uri)
    if not known and uri not in others:
        allowed = f"a path or a URI with one of the schemes {', '.join(schemes)}"
        raise SpecError(place, uri, " or ".join([allowed, *others]))
