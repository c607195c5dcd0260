"""What jobs admitted before, read from the `admitted` entries of the access log, which their watchers write."""

from models.bundles.manifest import Manifest
from models.store.store import ModelStore

ACTION = "admitted"


def record_admitted(store: ModelStore, job: str, version: str, digest: str) -> None:
    """Note that a job admitted a version.

    Raises:
        StoreError: it was not written.
    """
    store.record_access(ACTION, job or "job", job=job, version=version, digest=digest)


def admitted_before(store: ModelStore | None, manifest: Manifest, job: str | None) -> bool:
    """Whether a job admitted this very bundle before; with None for `job`, whether any did.

    Raises:
        StoreError: the store did not answer.
    """
    if store is None:
        return False
    return any(
        entry.action == ACTION
        and entry.detail.get("digest") == manifest.digest
        and job in (None, entry.detail.get("job"), entry.actor)
        for entry in store.accesses().entries
    )
