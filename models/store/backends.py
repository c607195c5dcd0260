"""Objects behind a URL: the few operations the model store needs, on any store that obstore opens."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, InvalidPathError
from obstore.store import LocalStore, MemoryStore, ObjectStore, from_url

from models.errors import StoreError, one_line
from models.redaction import holds_credentials, public_uri
from models.store.local_files import Listing, folders_in, is_odd, list_files
from models.store.odd_keys import SCHEMES, folders_in_bucket, list_bucket, told_apart

if TYPE_CHECKING:
    from obstore import ObjectMeta

_REMOTE = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl")
# A scheme is followed by two slashes, or is a known one: `day:1/models` is a path, and paths may contain `#` and `?`.
_SCHEME = re.compile(rf"([a-z][a-z0-9+.-]*)://|({'|'.join((*_REMOTE, 'memory', 'file'))}):", re.IGNORECASE)
_FILE = re.compile(r"file:(?://(?:localhost)?(?=/)|(?=/[^/]))(/.*)", re.IGNORECASE | re.DOTALL)
_ALLOWED = "a path, file:///path, memory://name, s3://bucket/path, gs://bucket/path or az://container/path"
# A poll must not hang for minutes: obstore's default is 10 retries in 3 minutes. Client options are left
# alone, as giving one would silence those of the environment, such as AWS_ALLOW_HTTP and AWS_TIMEOUT.
_RETRIES: Any = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}
MULTIPART_BYTES = 64 * 1024 * 1024
"""Files with more bytes than this are uploaded in parts, unconditionally."""
_memory_stores: dict[str, MemoryStore] = {}


_METADATA = "//169.254.169.254/"
_NO_CREDENTIALS = {
    "s3": "; no credentials are set; expected: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment",
    "gs": "; no credentials are set; next: gcloud auth application-default login",
    "az": "; no credentials are set; expected: AZURE_STORAGE_ACCOUNT_KEY in the environment",
}
"""Where no credentials are set, the clouds' clients ask this address, which virtual machines have, for them."""


class InvalidStoreUrl(StoreError):
    """A store's URL that no object store can be opened with."""


class ObjectTooLarge(StoreError):
    """An object has more bytes than allowed; nothing was downloaded."""


class StoreUnavailable(StoreError):
    """The store did not answer, or refused access; asking again later may succeed."""


class Backend:
    """One opened store URL. Keys are relative to it and use `/`. Picklable by its URL; thread-safe.

    A local folder is created by the first write; until then it reads as empty. `memory://name` is shared by
    everything in the process that uses the same name.
    """

    def __init__(self, url: str) -> None:
        scheme = _scheme(url)
        self.root: Path | None = None
        if scheme in ("", "file"):
            self.root = _local_root(url, scheme)
            url = str(self.root)
        elif scheme not in (*_REMOTE, "memory"):
            raise InvalidStoreUrl(f"store {public_uri(url)!r} is not allowed; expected: {_ALLOWED}")
        elif holds_credentials(url):
            found = f"store {public_uri(url)!r} is given with a user, a query or a fragment"
            raise InvalidStoreUrl(f"{found}; expected: {_ALLOWED}, with credentials in the environment")
        self.url = url
        self._scheme = scheme
        self._store: ObjectStore | None = None

    def __reduce__(self) -> tuple[type["Backend"], tuple[str]]:
        return (Backend, (self.url,))

    def list(self, prefix: str, after: str | None = None) -> list[tuple[str, int]]:
        """(key, bytes) of every object under the folder `prefix` with a key greater than `after`, sorted."""
        return self.scan(prefix, after).files

    def scan(self, prefix: str, after: str | None = None) -> Listing:
        """As `list`, and what else is there: in a local folder cyclic links, pipes and names that are not text; in a
        bucket keys of other programs that a store cannot have.

        A listing skips them: they are faults of single objects, never of the store.
        """
        store = self._open(write=False)
        if store is None:
            return Listing([], {})
        with self._errors(f"list {prefix}/"):
            found = list_files(self.root, prefix) if self.root is not None else self._list(store, prefix, after)
        # Passed to the store to save listing; not all servers of the protocol respect it.
        return found if after is None else found.beyond(after)

    def folders(self, prefix: str = "") -> tuple[str, ...]:
        """The names of the folders directly in the folder `prefix` that hold objects, sorted."""
        store = self._open(write=False)
        if store is None:
            return ()
        with self._errors(f"list {prefix or self.url}"):
            if self.root is not None:
                return folders_in(self.root / prefix)
            try:
                found = obstore.list_with_delimiter(store, f"{prefix}/" if prefix else None)["common_prefixes"]
            except InvalidPathError:
                if self._scheme in SCHEMES:
                    with suppress(OSError):  # the first error names the key
                        return folders_in_bucket(self.url, prefix)
                raise
        return tuple(sorted(name.rstrip("/").rpartition("/")[2] for name in found))

    def _list(self, store: ObjectStore, prefix: str, after: str | None) -> Listing:
        try:
            found = obstore.list(store, f"{prefix}/", offset=after).collect()
        except InvalidPathError:
            if self._scheme in SCHEMES:
                with suppress(OSError):  # the first error names the key
                    return list_bucket(self.url, prefix)
            raise
        return told_apart((meta["path"], meta["size"]) for meta in found)

    def size(self, key: str) -> int | None:
        """Bytes of an object; None if there is none."""
        found = self._head(key)
        return None if found is None else found["size"]

    def written_at_us(self, key: str) -> int | None:
        """When an object was written, by the store's own clock, microseconds since 1970; None if there is none."""
        found = self._head(key)
        return None if found is None else int(found["last_modified"].timestamp() * 1e6)

    def _head(self, key: str) -> "ObjectMeta | None":
        store = self._open(write=False)
        if store is None or self._is_odd(key):
            return None
        with self._errors(f"look for {key}"):
            try:
                return obstore.head(store, key)
            except FileNotFoundError:
                return None

    def read(self, key: str, max_bytes: int) -> bytes | None:
        """An object's bytes; None if there is none.

        Raises:
            ObjectTooLarge: it has more than `max_bytes`; nothing is downloaded then.
        """
        store = self._open(write=False)
        if store is None or self._is_odd(key):
            return None
        with self._errors(f"read {key}"):
            try:
                found = obstore.get(store, key)
            except FileNotFoundError:
                return None
            if found.meta["size"] > max_bytes:
                raise ObjectTooLarge(f"{self.url}: {key} has {found.meta['size']} bytes; allowed: at most {max_bytes}")
            return bytes(found.bytes())

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """The bytes of an object from `start` on, at most `length`: fewer where it ends before.

        Raises:
            FileNotFoundError: there is no such object.
        """
        with self._errors(f"read {key}"), suppress(FileNotFoundError):
            if self.root is not None:
                return _local_range(f"{self.root}/{key}", start, length)
            store = self._open(write=False)
            if store is not None:
                return bytes(obstore.get_range(store, key, start=start, length=length)) if length > 0 else b""
        raise FileNotFoundError(key)

    def stream(self, key: str) -> Iterator[bytes]:
        """An object's bytes in chunks.

        Raises:
            FileNotFoundError: there is no such object.
        """
        store = self._open(write=False)
        if store is None or self._is_odd(key):
            raise FileNotFoundError(key)
        with self._errors(f"read {key}"):
            try:
                found = obstore.get(store, key)
            except FileNotFoundError:
                found = None
        if found is None:
            raise FileNotFoundError(key)
        with self._errors(f"read {key}"):
            for chunk in found:
                yield bytes(chunk)

    def create(self, key: str, content: bytes | Path) -> bool:
        """Write an object unless it exists; False if it does. Of concurrent creates exactly one returns True.

        A file over 64 MiB is uploaded in parts, which no store can do conditionally: a concurrent create of the same
        key is then only noticed if it ended before.
        """
        store = self._open(write=True)
        assert store is not None
        with self._errors(f"write {key}"):
            if isinstance(content, Path) and content.stat().st_size > MULTIPART_BYTES:
                if self.size(key) is not None:
                    return False
                obstore.put(store, key, content)
                return True
            try:
                obstore.put(store, key, content, mode="create")
            except AlreadyExistsError:
                return False
            return True

    def destroy(self, key: str) -> None:
        """Leave an object of no bytes in the place of what was there: its content is gone, and its name stays used up.

        What a bucket with versioning, a backup or a disk keeps of it is not reached.
        """
        store = self._open(write=True)
        assert store is not None
        with self._errors(f"empty {key}"):
            obstore.put(store, key, b"")

    def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        store = self._open(write=False)
        if store is None:
            return
        with self._errors(f"remove {key}"), suppress(FileNotFoundError):
            if self.root is not None:
                (self.root / key).unlink()  # also what is not a readable file
            else:
                obstore.delete(store, key)

    def delete_empty(self, prefix: str) -> None:
        """Remove a folder of a local store, and the folders in it, if they are empty; other stores have no folders."""
        if self.root is None:
            return
        for folder, _, _ in os.walk(self.root / prefix, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()

    def _open(self, write: bool) -> ObjectStore | None:
        """The obstore store; None for a local folder that does not exist and must not be created."""
        if self.root is not None:
            if not write and not self.root.is_dir():
                return None
            with self._errors("open it"):
                return LocalStore(self.root, mkdir=write)
        if self._store is None:
            if self._scheme == "memory":
                self._store = _memory_stores.setdefault(self.url, MemoryStore())
            else:
                try:
                    self._store = from_url(self.url, retry_config=_RETRIES)
                except (BaseError, ValueError) as error:
                    raise InvalidStoreUrl(f"store {self.url!r} cannot be opened: {one_line(error)}") from None
        return self._store

    def _is_odd(self, key: str) -> bool:
        """Whether a key of a local store is not a readable file, such as a pipe or a cyclic link."""
        return self.root is not None and is_odd(self.root / key)

    @contextmanager
    def _errors(self, action: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            said = one_line(error)
            hint = _NO_CREDENTIALS.get(self._scheme, "") if _METADATA in said else ""
            raise StoreUnavailable(f"{self.url}: cannot {action}: {said}{hint}") from None


def _local_range(path: str, start: int, length: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # the open of a pipe would wait for a writer
    try:
        return os.pread(descriptor, length, start)
    finally:
        os.close(descriptor)


def _scheme(url: str) -> str:
    found = _SCHEME.match(url)
    return (found[1] or found[2]).lower() if found else ""


def _local_root(url: str, scheme: str) -> Path:
    path = url
    if scheme == "file":
        matched = _FILE.fullmatch(url)
        if matched is None:
            raise InvalidStoreUrl(f"store {url!r} is not allowed; expected: {_ALLOWED}")
        path = unquote(matched[1])
    if not path or "\0" in path:
        raise InvalidStoreUrl(f"store {url!r} is not allowed; expected: {_ALLOWED}")
    root = Path(path).absolute()
    if root.exists() and not root.is_dir():
        raise InvalidStoreUrl(f"store {url!r} is a file; expected: a folder")
    return root
