"""Whether a job's store has its model and releases of it, and whether its key store answers."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from models.errors import StoreError
from models.store.backends import Backend
from models.store.store import ModelStore
from pipeline.reporting.printer import note
from schemas.expectations import did_you_mean
from schemas.job import ModelSpec, PrivacySpec
from schemas.validation import SpecError


def check_keys(privacy: PrivacySpec | None) -> None:
    """Opens the key store of a job with privacy, and begins its first epoch where there is none.

    Raises:
        StoreError: it cannot be read or written, or is damaged.
    """
    if privacy is None:
        return
    from models.privacy.key_store import KeyStore  # few jobs have keys, and it takes a while to import

    KeyStore(Backend(privacy.keys)).epochs()


def check_model(spec: ModelSpec, bounded: bool) -> None:
    """A bounded run needs an existing model; a stream waits for one, with a note.

    Raises:
        SpecError: the store has no such model.
        StoreError: the store does not answer.
    """
    store = ModelStore(spec.store, spec.name)
    if bounded:  # a stream may wait until somebody repairs the store
        store.check_releases()
    scan = store.scan_releases()
    if scan.odd:
        key, problem = next(iter(scan.odd.items()))
        one = len(scan.odd) == 1
        things = "1 thing that is none is" if one else f"{len(scan.odd)} things that are none are"
        where = f"among the releases of {spec.name} in {store.url}"
        note(f"{where} {things} passed over{':' if one else ', such as'} {key}: {problem}; "
             "next: halflife models timeline")  # fmt: skip
    if scan.releases or scan.broken:
        return
    absent = absent_model(store)
    if bounded and absent:
        raise absent
    lacks = "no version" if absent else "no release"
    note(f"model {spec.name} has {lacks} in {spec.store} yet; " + (
        "records will be dead letters" if bounded else "events wait until it has one"
    ))  # fmt: skip


def absent_model(store: ModelStore, of_store: str = "model.store", of_name: str = "model.name") -> SpecError | None:
    """What is wrong with a store or a model's name where the store has no such model. `of_store`, `of_name`: where the
    two were given."""
    known = store.models()
    if not known:
        return SpecError(of_store, store.url, "a store with a model in it; next: halflife models publish")
    if store.model not in known:
        there = f"a model of {store.url}: {', '.join(known[:20])}{did_you_mean(store.model, known)}"
        return SpecError(of_name, store.model, there)
    return None


def say_unreached(spec: ModelSpec, summary: Mapping[str, Any], latest_us: int | None) -> None:
    """Notes the releases that take effect after every event."""
    # It imports Beam, which takes seconds; the verbs that only ask for a model need not wait for it.
    from pipeline.reporting.outcomes import unreached

    if latest_us is None or set(summary["release_outcomes"]) <= set(summary["releases"]):
        return
    with suppress(StoreError):  # an error of the store after it answered the run is not worth reporting
        if remark := unreached(summary, ModelStore(spec.store, spec.name).releases(), latest_us):
            note(remark)
