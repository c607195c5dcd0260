"""Listings of buckets in which other programs wrote keys that obstore cannot represent, such as one with a line end.

obstore's listing then fails as a whole, whatever else is in the bucket. Arrow's own client lists every key.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from models.store.local_files import Listing, Odd

_ODD = Odd("a name that is not allowed", "names of printable text between slashes")


def told_apart(found: Iterable[tuple[str, int]]) -> Listing:
    """Keys that a store can hold, sorted, and the others, escaped to ASCII, with what is wrong."""
    files: list[tuple[str, int]] = []
    odd: dict[str, Odd] = {}
    for key, size in found:
        if _is_allowed(key):
            files.append((key, size))
        else:
            odd[ascii(key)[1:-1]] = _ODD
    return Listing(sorted(files), odd)


def list_bucket(url: str, prefix: str) -> Listing:
    """All objects below `prefix` of a store's URL, of a scheme in `SCHEMES`, with keys relative to that URL.

    Raises:
        OSError: the store did not answer.
    """
    root, found = _found(url, prefix, recursive=True)
    return told_apart((path.removeprefix(f"{root}/"), size) for path, size, is_file in found if is_file)


def folders_in_bucket(url: str, prefix: str) -> tuple[str, ...]:
    """The names of the folders directly in the folder `prefix` of such a store, sorted. Raises as `list_bucket`."""
    _, found = _found(url, prefix, recursive=False)
    names = (path.rpartition("/")[2] for path, _, is_file in found if not is_file)
    return tuple(sorted(name for name in names if _is_allowed(name)))


def _found(url: str, prefix: str, recursive: bool) -> tuple[str, list[tuple[str, int, bool]]]:
    """The path of the URL's root, and (path, bytes, whether it is an object) of what is below the prefix."""
    from pyarrow import fs

    parts = urlsplit(url)
    root = f"{parts.netloc}{parts.path}".rstrip("/")
    below = f"{root}/{prefix}" if prefix else root
    selected = fs.FileSelector(below, recursive=recursive, allow_not_found=True)
    found = _CLIENTS[parts.scheme]().get_file_info(selected)
    return root, [(info.path, info.size or 0, info.type == fs.FileType.File) for info in found]


def _s3() -> Any:
    from pyarrow import fs

    endpoint = urlsplit(os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", ""))
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return fs.S3FileSystem(region=region, endpoint_override=endpoint.netloc or None, scheme=endpoint.scheme or "https")


def _gcs() -> Any:
    """It signs in with the application's default credentials; an emulator takes none."""
    from pyarrow import fs

    emulator = urlsplit(os.environ.get("STORAGE_EMULATOR_HOST", ""))
    if not emulator.netloc:
        return fs.GcsFileSystem(retry_time_limit=_RETRIES)
    return fs.GcsFileSystem(
        anonymous=True, endpoint_override=emulator.netloc, scheme=emulator.scheme, retry_time_limit=_RETRIES
    )


_RETRIES = timedelta(seconds=30)
_CLIENTS: Mapping[str, Callable[[], Any]] = {"s3": _s3, "s3a": _s3, "gs": _gcs}
SCHEMES = tuple(_CLIENTS)
"""Of stores that Arrow can list."""


def _is_allowed(key: str) -> bool:
    return key.isprintable() and not {"", ".", ".."} & set(key.split("/"))
