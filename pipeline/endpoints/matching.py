"""Which files a URI means: a file that is there by that very name, the files of a folder, or what a pattern matches."""

import os
import re
from collections.abc import Mapping, Sequence

from apache_beam.io.filesystem import BeamIOError, FileMetadata
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.localfilesystem import LocalFileSystem

from pipeline.endpoints.uris import beam_path, scheme_of
from pipeline.saying import on_one_line

_GLOB = re.compile(r"[*?[]")
_UNFINISHED = ".partial"


class NoInput(Exception):
    """No file matches, or the files cannot be listed; the message names the URI."""


def matching_files(uri: str) -> list[str]:
    """The files that a URI means, sorted by name.

    A name that exists is that file or folder, whatever signs of patterns are in it. Files that a pattern or a folder
    leads to are left out where they are hidden (`.name`) or unfinished (`name.partial`) and it does not say so.

    Raises:
        NoInput: there are none, or they cannot be listed.
    """
    return sorted(file_sizes(uri))


def file_sizes(uri: str) -> dict[str, int]:
    """As `matching_files`, with the bytes of each."""
    path = beam_path(uri)
    try:
        found = _found(path, scheme_of(uri) == "file")
    except (BeamIOError, ValueError, OSError) as error:
        raise NoInput(f"{uri} cannot be listed: {on_one_line(error)}") from None
    shown = {each: size for each, size in found.items() if each == path or not _is_hidden(each, path)}
    if not shown:
        raise NoInput(f"no file matches {uri}{_left_out(len(found))}")
    return shown


def _left_out(hidden: int) -> str:
    if not hidden:
        return ""
    named = f"{hidden} hidden or unfinished files are" if hidden > 1 else "one hidden or unfinished file is"
    return f" ({named} left out: name one to read it)"


def _found(path: str, local: bool) -> Mapping[str, int]:
    """What is there and how large, hidden files included."""
    if local:
        return _local(path)
    if _GLOB.search(path) and FileSystems.exists(path):
        return _sizes([FileSystems.get_filesystem(path).metadata(path)])
    found = _sizes(FileSystems.match([path])[0].metadata_list)
    if found or _GLOB.search(path):
        return found
    return _sizes(FileSystems.match([f"{path.rstrip('/')}/*"])[0].metadata_list)


def _sizes(found: Sequence[FileMetadata]) -> dict[str, int]:
    return {each.path: int(each.size_in_bytes) for each in found}


def _local(path: str) -> dict[str, int]:
    """As Beam matches patterns, but with every folder that is there by its very name: brackets in it are no pattern."""
    if os.path.isfile(path):
        return {path: os.path.getsize(path)}
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    folder = folder.rstrip("/")
    rest = path[len(folder) :].strip("/") or "*"
    pattern = re.compile(LocalFileSystem.translate_pattern(rest))
    there = (f"{base}/{name}" for base, _, names in os.walk(f"{folder}/") for name in names)
    there = (each.replace("//", "/") for each in there)
    return {each: os.path.getsize(each) for each in there if pattern.match(each[len(folder) + 1 :])}


def _is_hidden(path: str, pattern: str) -> bool:
    wanted = pattern.rstrip("/").rpartition("/")[2]
    names = [name for name in path.split("/") if name not in pattern.split("/")]
    hidden = any(name.startswith(".") for name in names) and not wanted.startswith(".")
    return hidden or (path.endswith(_UNFINISHED) and not pattern.endswith(_UNFINISHED))
