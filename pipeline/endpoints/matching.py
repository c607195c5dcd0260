"""Which files a URI means: the file of exactly that name, the files of a folder, or what a pattern matches."""

import glob
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from models.errors import one_line
from pipeline.endpoints.errors import NoInput, NothingMatches
from pipeline.endpoints.reading.patterns import translated
from pipeline.endpoints.uris import beam_path, scheme_of
from pipeline.spec.remote import check_answers
from schemas.formats.path_columns import is_partition

if TYPE_CHECKING:
    from apache_beam.io.filesystem import FileMetadata

_GLOB = re.compile(r"[*?[]")
_UNFINISHED = ".partial"
# Files that Hive, Spark and Arrow put beside those with records.
_NO_RECORDS = ("_SUCCESS", "_metadata", "_common_metadata")
_DELTA = "_delta_log"
# How many levels of folders are searched to say where the files of a folder without any are.
_DEPTHS = 4


class NoRecords(NoInput):
    """The input exists but holds no record, not even an unreadable one."""


def matching_files(uri: str) -> list[str]:
    """The files that a URI means, sorted by name.

    A name that exists is that file or folder, even if it contains pattern characters. Files found through a pattern or
    a folder are left out where they are hidden (`.name`), unfinished (`name.partial`) or told of others (`_SUCCESS`),
    and the pattern does not say so. Files in folders of the form `name=value` within a folder are
    among its files.

    Raises:
        NothingMatches: there are none.
        NoInput: they cannot be listed.
    """
    return sorted(file_sizes(uri))


def file_sizes(uri: str) -> dict[str, int]:
    """As `matching_files`, with the size of each in bytes."""
    path = beam_path(uri)
    try:
        found = _found(path, scheme_of(uri) == "file")
    except (ValueError, OSError) as error:  # BeamIOError is an OSError
        raise NoInput(f"{uri} cannot be listed: {one_line(error)}") from None
    shown = {each: size for each, size in found.items() if each == path or not _is_hidden(each, path)}
    if not shown:
        why, following = _folders(uri, path) if scheme_of(uri) == "file" and not found else ("", "")
        expected = "expected: a file, a folder or a pattern such as data/*.json"
        raise NothingMatches(f"no file matches {uri}{why or _left_out(len(found))}; {expected}{following}")
    return shown


def _folders(uri: str, path: str) -> tuple[str, str]:
    """Where a local URI is a folder without files, or a pattern that only folders match: that, and which pattern would
    match the files further down."""
    one = os.path.isdir(path)
    if not one and not any(map(os.path.isdir, glob.iglob(path))):
        return "", ""
    for depth in range(1, _DEPTHS + 1):
        below = "/*" * (depth + one)
        if any(not _is_hidden(each, path + below) for each in _local(path.rstrip("/") + below)):
            what = "it is a folder that holds only folders" if one else "only folders do"
            return f" ({what})", f"; next: --set events.uri='{uri.rstrip('/')}{below}'"
    return (" (it is a folder that holds no files)" if one else " (only folders without files do)"), ""


def _left_out(hidden: int) -> str:
    if not hidden:
        return ""
    named = f"{hidden} hidden or unfinished files are" if hidden > 1 else "one hidden or unfinished file is"
    return f" ({named} left out: name one to read it)"


def _found(path: str, local: bool) -> Mapping[str, int]:
    """What exists there, with sizes, including hidden files."""
    if local:
        return _local(path)
    from apache_beam.io.filesystems import FileSystems  # it takes seconds to import

    check_answers(path)
    if _GLOB.search(path) and FileSystems.exists(path):
        return _sizes([FileSystems.get_filesystem(path).metadata(path)])
    found = _sizes(FileSystems.match([path])[0].metadata_list)
    if found or _GLOB.search(path):
        return found
    base = f"{path.rstrip('/')}/"
    return files_of_folder(base, _sizes(FileSystems.match([f"{base}**"])[0].metadata_list))


def files_of_folder(base: str, below: Mapping[str, int]) -> dict[str, int]:
    """Of all files below a folder (which ends with a slash) those that are its own: within it, and within its folders
    of the form `name=value`. Raises `NoInput` for a Delta table."""
    if any(each.startswith(f"{base}{_DELTA}/") for each in below):
        raise _delta_table(base)
    return {each: size for each, size in below.items() if all(map(is_partition, each[len(base) :].split("/")[:-1]))}


def _sizes(found: Sequence["FileMetadata"]) -> dict[str, int]:
    return {each.path: int(each.size_in_bytes) for each in found}


def _local(path: str) -> dict[str, int]:
    """As Beam matches patterns, but a folder that exists under exactly that name is taken literally: its brackets are
    no pattern."""
    if os.path.isfile(path):
        return {path: os.path.getsize(path)}
    if os.path.isdir(os.path.join(path, _DELTA)):
        raise _delta_table(path)
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    folder = folder.rstrip("/")
    rest = path[len(folder) :].strip("/") or "*"
    pattern = translated(rest)
    found = {each: os.path.getsize(each) for each in _below(folder, rest) if pattern.match(each[len(folder) + 1 :])}
    return found if path.rstrip("/") != folder else {**found, **_in_partitions(folder)}


def _in_partitions(folder: str) -> dict[str, int]:
    """The files of the folders named `name=value` below a folder, with sizes."""
    found, waiting = dict[str, int](), [folder]
    while waiting:
        base = waiting.pop()
        _, folders, names = next(os.walk(base), ("", [], []))
        if base != folder:
            found |= {f"{base}/{name}": os.path.getsize(f"{base}/{name}") for name in names}
        waiting += [f"{base}/{each}" for each in folders if is_partition(each) and not os.path.islink(f"{base}/{each}")]
    return found


def _delta_table(path: str) -> NoInput:
    why = "its log says which of its files count, and is not read"
    return NoInput(f"{path} is a Delta table: {why}; expected: files of records (docs/input.md#what-is-not-read)")


def _below(folder: str, pattern: str) -> Iterator[str]:
    """The files below the folder, without those in folders that cannot lead to a match: a name that does not exist must
    not cost a search of the whole disk. There is no recursion, however deep the folders are."""
    parts = pattern.split("/")
    waiting = [(f"{folder}/", 0)]
    while waiting:
        base, depth = waiting.pop()
        _, folders, names = next(os.walk(base), ("", [], []))
        yield from (base + name for name in names)
        if "**" in pattern or depth + 1 < len(parts):
            leads = [each for each in folders if _may_lead(parts, depth, each) and not os.path.islink(base + each)]
            waiting += [(f"{base}{each}/", depth + 1) for each in leads]


def _may_lead(parts: Sequence[str], depth: int, name: str) -> bool:
    """Whether a folder at this depth may hold matches of the parts of a pattern; `**` stands for any number of
    folders."""
    if any("**" in part for part in parts[: depth + 1]):
        return True
    return _GLOB.search(parts[depth]) is not None or parts[depth] == name


def _is_hidden(path: str, pattern: str) -> bool:
    wanted = pattern.rstrip("/").rpartition("/")[2]
    names = [name for name in path.split("/") if name not in pattern.split("/")]
    hidden = any(name.startswith(".") for name in names) and not wanted.startswith(".")
    hidden = hidden or (path.endswith(tuple(f"/{name}" for name in _NO_RECORDS)) and wanted not in _NO_RECORDS)
    return hidden or (path.endswith(_UNFINISHED) and not pattern.endswith(_UNFINISHED))
