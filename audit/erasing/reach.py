"""What an erasure leaves: versions that were trained on the subject, and what keeps its values elsewhere."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from audit.asking.answers import REPLAY
from audit.asking.moments import time_text
from audit.asking.sources import missing
from audit.asking.training.trained_on import TrainedOn, TrainingRecords, trained_on
from audit.erasing.asking import AskedSubject
from audit.files.audit import Audit
from audit.files.found.receipts import FoundReceipt
from models.errors import BundleRefused
from models.privacy.identities import Epoch, Epochs, Pseudonym, identity_of_event
from models.redaction import public_uri
from models.releases.release import Release
from models.releases.timeline import release_in_force
from models.store.store import ModelStore

_MOST_NAMED = 20


class Unreached(NamedTuple):
    """Something that an erasure does not reach: what it is, where, and what it may hold."""

    what: str
    where: str
    why: str


class TrainedVersion(NamedTuple):
    """A version that was trained on a subject; `last_event_us`: the latest event that it answered, None: none;
    `in_force`: whether a release that is in force now, or will be, names it."""

    model: str
    trained: TrainedOn
    last_event_us: int | None
    in_force: bool

    def document(self) -> dict[str, Any]:
        """As JSON."""
        last = None if self.last_event_us is None else time_text(self.last_event_us)
        return {"model": self.model, **self.trained.document(), "last_served": last, "in_force": self.in_force}


def names_of_subject(asked: AskedSubject, epochs: Sequence[Epoch], receipts: Iterable[FoundReceipt]) -> set[str]:
    """How training records may name a subject: by itself or by an event of it, in plain or as a hash."""
    ids = {one.receipt["event_id"] for one in receipts}
    hashed = (str(each) for epoch in epochs for each in epoch.pseudonyms(identity_of_event(one) for one in ids))
    return {asked.subject, *asked.hashes, *ids, *hashed}


def events_of(epochs: Epochs, receipts: Iterable[FoundReceipt]) -> list[Pseudonym]:
    """What stands, in any epoch, for the events of receipts: where ids are hidden, in that of the receipt."""
    ids = dict.fromkeys(str(one.receipt["event_id"]) for one in receipts)
    known = {one: Pseudonym.of_text(one) for one in ids}
    plain = [identity_of_event(one) for one, found in known.items() if found is None]
    hashed = [each for each in known.values() if each is not None]
    return [*hashed, *(each for identity in plain for each in epochs.of_all(identity))]


def receipts_about(audit: Audit, asked: AskedSubject) -> tuple[list[FoundReceipt], list[FoundReceipt]]:
    """The receipts that are about a subject: those that are encrypted, and those that were written in plain."""
    found = [one for name in (*asked.hashes, asked.subject) for one in audit.find("subject", name)]
    return (
        [one for one in found if one.receipt["key_id"] is not None],
        [one for one in found if one.receipt["key_id"] is None],
    )


def trained_versions(
    audit: Audit | None, stores: Iterable[ModelStore], names: set[str], now_us: int
) -> tuple[list[TrainedVersion], list[str]]:
    """The versions that were trained on any of these, with when each last served; and what is not known.

    Raises:
        StoreUnavailable: a store, or the audit, does not answer.
    """
    found, unknown = list[TrainedVersion](), list[str]()
    for store in stores:
        training = trained_on(store, names)
        named = [each.version for each in training.versions]
        last = audit.last_events(store.model, named, REPLAY) if audit is not None and named else {}
        serving = _serving(store.releases(), now_us)
        found += [
            TrainedVersion(store.model, one, last.get(one.version), one.version in serving) for one in training.versions
        ]
        unknown += _unknown(store.model, training)
    return found, unknown


def _unknown(model: str, training: TrainingRecords) -> Iterator[str]:
    for version, why in training.unknown.items():
        yield f"whether version {version!r} of {model!r} was trained on it: {why}"


def _serving(releases: Iterable[Release], now_us: int) -> set[str]:
    """The versions of the release in force now, and of later ones."""
    known = list(releases)
    now, later = release_in_force(known, now_us), [each for each in known if each.effective_from_us > now_us]
    return {version for each in (now, *later) if each is not None for version in each.versions}


def plain_bundles(store: ModelStore) -> Iterator[Unreached]:
    """The versions whose bundle may hold values in plain: it was published without `privacy`."""
    plain = list[str]()
    for version in store.versions():
        try:
            manifest = store.read_manifest(version)
        except BundleRefused as error:
            yield Unreached("bundle", f"{store.url}/{store.model}/versions/{version}", missing(error))
            continue
        if manifest.holds_rows and manifest.privacy is None:
            plain.append(version)
    if plain:
        more = f" and {len(plain) - _MOST_NAMED} more" if len(plain) > _MOST_NAMED else ""
        named = ", ".join(islice(plain, _MOST_NAMED)) + more
        why = "published without privacy: training records, golden records and profiles are in plain"
        yield Unreached("bundles", f"{store.url}/{store.model}: {named}", why)


def plain_receipts(audit: Audit, receipts: Sequence[FoundReceipt]) -> Iterator[Unreached]:
    """The receipts of the subject that nothing encrypted."""
    if receipts:
        files = list(dict.fromkeys(one.file for one in receipts))
        why = f"{len(receipts)} receipts of it in plain, in {len(files)} files; next: halflife audit expire"
        yield Unreached("receipts", audit.url, why)


def others(
    spec: Mapping[str, Any], topics: Iterable[tuple[str, str]], keys_url: str, trained: Sequence[TrainedVersion]
) -> Iterator[Unreached]:
    """What no verb looks into: inputs of the spec, sinks that are `topics` (name, URI), and what no spec names."""
    sections = [(name, spec.get(name) or {}) for name in ("events", "labels")]
    for name, section in sections:
        if section.get("uri"):
            yield Unreached(name, public_uri(str(section["uri"])), "the source keeps what it was sent, in plain")
    for lookup in spec.get("lookups") or ():
        table = lookup.get("table") or {}
        where = table.get("uri") or f"{(spec.get('model') or {}).get('store')}/tables/{table.get('store')}"
        yield Unreached(
            f"lookup {lookup.get('name')}", public_uri(str(where)), "its rows are joined to events and stay in plain"
        )
    for name, uri in topics:
        yield Unreached(f"sinks.{name}", uri, "whatever was written there before privacy, and copies of it")
    letters = (spec.get("sinks") or {}).get("dead_letters")
    if letters is not None:
        why = (
            "letters that were written before privacy, those whose record does not say whom it is about, and those of "
            "labels of events that have no receipt here"
        )
        yield Unreached("sinks.dead_letters", str(letters), why)
    for each in trained:
        yield Unreached("model", f"{each.model} {each.trained.version}", "what it has learned stays in its weights")
    yield Unreached("checkpoints", "of the runner", "they hold events in plain until newer ones replace them")
    yield Unreached("copies", keys_url, "versions, backups and snapshots of the key store")
    yield Unreached("exports", "handed out", "each opens its own receipt with the key in it")
