"""URIs as people write them: plain paths are local files, relative ones start at the working directory."""

import os
import re
from pathlib import Path

from pipeline.spec.expansion import FILE_SCHEMES, scheme_of
from pipeline.spec.expansion import local_path as beam_path  # the form in which Beam's file systems take a URI
from schemas.validation import SpecError

__all__ = [
    "FILE_SCHEMES",
    "GOOGLE_PROJECT",
    "STDOUT",
    "absolute",
    "beam_path",
    "check_scheme",
    "location",
    "scheme_of",
]

STDOUT = "stdout:"
# The id of a Google Cloud project, preceded by its domain where it has one.
GOOGLE_PROJECT = re.compile(r"([a-z0-9.-]+:)?[a-z][-a-z0-9]{4,28}[a-z0-9]")


def absolute(uri: str) -> str:
    """The URI with a scheme, local paths made absolute (without looking at the disk)."""
    if scheme_of(uri) != "file":
        return uri
    return "file://" + str(Path.cwd() / beam_path(uri))


def location(uri: str) -> str:
    """What two names of one folder have in common: links of a local path are followed."""
    if scheme_of(uri) != "file":
        return uri.rstrip("/")
    try:
        return os.path.realpath(beam_path(uri))
    except ValueError:  # a character that no path has: whoever opens it says so
        return uri


def check_scheme(
    uri: str, spec_path: str, others: tuple[str, ...] = (), schemes: tuple[str, ...] = FILE_SCHEMES
) -> None:
    """Raises `SpecError` for a scheme that is none of `schemes`; `others` are whole URIs that are allowed too."""
    known = scheme_of(uri) in schemes and (scheme_of(uri) == "file" or "://" in uri)
    if not known and uri not in others:
        allowed = f"a path or a URI with one of the schemes {', '.join(schemes)}"
        raise SpecError(spec_path, uri, " or ".join([allowed, *others]))
