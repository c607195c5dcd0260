"""Who asks for a hold or an erasure, of which subject: in words that do not name it."""

import json
import re
from dataclasses import replace
from typing import Any, NamedTuple

from audit.files.appending import append_model_event
from models.privacy.identities import identity_of_subject, subject_of
from models.privacy.key_store import KeyStore
from models.privacy.register import AskedBy
from models.store.backends import Backend
from schemas.records import ModelEvent


class AskedSubject(NamedTuple):
    """A subject, what stands for it in the records of each epoch, and who asks, whose reason does not name it."""

    subject: str
    identity: bytes
    hashes: tuple[str, ...]
    asked: AskedBy


def asked_subject(keys: KeyStore, subject: str, asked: AskedBy) -> AskedSubject:
    """The subject in this key store.

    Raises:
        UnusableEpoch: an epoch of the key store is damaged.
        StoreUnavailable: it does not answer.
    """
    identity = identity_of_subject(subject)
    hashes = tuple(str(each) for each in keys.epochs().of_all(identity))
    reason = without_subject(asked.reason, subject, hashes[-1])
    return AskedSubject(subject, identity, hashes, replace(asked, reason=reason))


def without_subject(text: str, subject: str, instead: str) -> str:
    """The text with what stands for a subject in its place, wherever the subject is a whole word.

    >>> without_subject("N14228 asked on 3 March", "N14228", "h1:0a")
    'h1:0a asked on 3 March'
    """
    return re.sub(rf"(?<!\w){re.escape(subject)}(?!\w)", instead, text) if subject else text


def names_held(keys: KeyStore) -> dict[str, str]:
    """How records name the subjects under a hold, by the hash of any epoch or in plain, and the hash that is shown.

    Raises:
        UnusableRegister, UnusableEpoch: the key store is damaged.
        StoreUnavailable: it does not answer.
    """
    named, epochs = dict[str, str](), keys.epoch_log.read()
    for identity in keys.register.held():
        hashes = [str(each) for each in epochs.of_all(identity)]
        plain = subject_of(identity)
        named |= dict.fromkeys([*hashes, *([] if plain is None else [plain])], hashes[-1])
    return named


def say_in_audit(
    audit: Backend, kind: str, asked: AskedSubject, at_us: int, told: dict[str, Any], job: str | None
) -> str:
    """Writes that something was done with a subject's keys; the key of the event's file.

    Raises:
        StoreUnavailable: it was not written.
    """
    evidence = json.dumps({"subjects": list(asked.hashes), **told})
    event = ModelEvent(at_us, kind, "", None, None, None, asked.asked.by, asked.asked.reason, evidence)
    return append_model_event(audit, event, job)
