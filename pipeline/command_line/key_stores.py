"""Which key store a verb uses: that of `--keys`, or of the job's `privacy`."""

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from models.store.backends import Backend, InvalidStoreUrl

if TYPE_CHECKING:
    from models.privacy.key_store import KeyStore

KEY_STORE = "a folder, or an s3://, gs:// or az:// URL"


def add_keys_option(parser: argparse.ArgumentParser) -> None:
    """`--keys`: the key store."""
    said = f"the key store: {KEY_STORE} (default: privacy.keys of the job)"
    parser.add_argument("--keys", metavar="URL", dest="key_store", help=said)


def keys_url(options: argparse.Namespace, spec: Mapping[str, Any]) -> str | None:
    """The URL of the key store that `--keys` or the job names; None where neither does."""
    found = options.key_store or (spec.get("privacy") or {}).get("keys")
    return None if found is None else str(found)


def key_store_at(url: str, begin: bool = False) -> "KeyStore":
    """The key store at a URL, where it has anything. `begin`: also where it has nothing yet.

    Raises:
        NoKeyStore: nothing is there.
        InvalidStoreUrl: it is none that lasts.
        StoreUnavailable: it does not answer.
    """
    from models.privacy.key_store import KeyStore, opened_keys  # few jobs have keys, and it takes a while to import

    if url.startswith("memory:"):
        raise InvalidStoreUrl(f"key store {url!r} ends with this process; expected: {KEY_STORE}")
    backend = Backend(url)
    return KeyStore(backend) if begin else opened_keys(backend)
