"""Whether ids of events that earlier runs hashed can be told: only by the keys that hashed them."""

from collections.abc import Sequence

from models.store.backends import Backend
from pipeline.endpoints.files.found import FoundFile, files_in, with_origins
from pipeline.endpoints.files.record_columns import read_columns
from pipeline.endpoints.outputs import SinkFolder, sink_folders
from pipeline.endpoints.uris import FILE_SCHEMES, scheme_of
from schemas.job import Job


def own_files(folder: SinkFolder, job: str) -> list[FoundFile]:
    """The files of earlier runs of a job in a folder, with what they say of themselves. Raises `OSError`."""
    return [each for each in with_origins(files_in(folder, must_list=True)) if each.is_of(job)]


def check_hashed_ids(job: Job) -> None:
    """Before a run begins a key store that is empty.

    Raises:
        NoKeyStore: earlier runs hashed ids of events by keys that are not there: all events would count as new.
        OSError, StoreError: a folder or the key store cannot be read.
    """
    privacy = job.events.privacy
    if privacy is None or not job.events.hides_ids:
        return
    from models.privacy.epoch_log import EPOCHS  # few jobs have keys, and it takes a while to import
    from models.privacy.identities import Pseudonym
    from models.privacy.key_store import NoKeyStore

    backend = Backend(privacy.keys)
    if backend.list(EPOCHS):
        return
    scores = [each for each in sink_folders(job) if each.record == "Score" and scheme_of(each.uri) in FILE_SCHEMES]
    files = [each.path for folder in scores for each in own_files(folder, job.name)]
    ids = read_columns(files, "Score", ["event_id"])["event_id"].to_pylist()
    if any(Pseudonym.of_text(each) for each in ids):
        known = f"{backend.url} holds no keys, and earlier runs hashed ids of events: all would be scored again"
        raise NoKeyStore(f"{known}; expected: the key store of these runs; next: look at privacy.keys")


def check_same_keys(job: Job, earlier: Sequence[FoundFile]) -> None:
    """Before a run goes by the ids in files of earlier ones.

    Raises:
        OtherKeyStore: another key store hashed them, as a file says: all events would count as new.
        StoreError: the key store cannot be read.
    """
    privacy = job.events.privacy
    if privacy is None or not job.events.hides_ids or not any(each.origin and each.origin.keys for each in earlier):
        return
    from models.privacy.key_store import KeyStore, OtherKeyStore  # few jobs have keys, and it takes a while to import

    own = KeyStore(Backend(privacy.keys)).epochs().store_id
    for each in earlier:
        if each.origin is not None and each.origin.keys not in ("", own):
            found = f"privacy.keys {privacy.keys} is the key store {own}, and {each.origin.keys} hashed the ids of"
            again = f"events in {each.path}: all would be scored again; expected: the key store of earlier runs"
            raise OtherKeyStore(f"{found} {again}; next: set privacy.keys to it, or sinks to new folders")
