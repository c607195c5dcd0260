"""Whether the key store of a job with privacy answers and is whole; nothing is written there."""

from collections.abc import Iterator

from models.errors import StoreError
from models.store.backends import Backend
from pipeline.preflight.advice import refused
from runners.findings import Finding, ok

CHECK = "privacy.keys"


def check_key_store(url: str) -> Iterator[Finding]:
    """Reads the epochs, all keys and the register at a URL."""
    from models.privacy.epoch_log import EPOCHS  # few jobs have keys, and it takes a while to import
    from models.privacy.key_store import KeyStore

    try:
        backend = Backend(url)
        if not backend.list(EPOCHS):
            yield ok(CHECK, f"{backend.url} answers and holds no keys yet: the first run begins it")
            return
        store = KeyStore(backend)
        epochs = len(store.epochs().all)
        store.keys_for([])
        erased = len(store.register.erased())
    except StoreError as error:
        yield refused(CHECK, str(error), url)
        return
    yield ok(CHECK, f"{backend.url} answers; {epochs} epoch(s), all keys can be read; {erased} subject(s) were erased")
