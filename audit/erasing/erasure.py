"""`audit erase`: a subject's keys are destroyed; after that it is said in the audit, so that what is said is done."""

from typing import Any, NamedTuple

from audit.asking.moments import time_text
from audit.erasing.asking import AskedSubject
from models.privacy.key_store import KeyStore
from models.privacy.register import Registered
from schemas.errors import HalflifeError


class UnknownSubject(HalflifeError):
    """A subject that has no keys and never had any: nothing was written about it, or its name is another one."""


class Erased(NamedTuple):
    """What an erasure did: how many keys it destroyed, and which entry of the register says so; `before`: the end of
    an earlier erasure, None where this is the first. No keys are destroyed where another has destroyed them."""

    asked: AskedSubject
    destroyed: int
    ended: Registered
    before: Registered | None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        by = self.ended.asked
        earlier = None if self.before is None else time_text(self.before.asked.at_us)
        return {
            "erased": True,
            "subjects": list(self.asked.hashes),
            "by": by.by,
            "reason": by.reason,
            "at": time_text(by.at_us),
            "keys_destroyed": self.destroyed,
            "erased_before": earlier,
        }


def erase_subject(keys: KeyStore, asked: AskedSubject) -> Erased:
    """Destroys all keys of a subject, as `KeyStore.erase` does it: killed at any moment, it is done again.

    Raises:
        UnknownSubject: it has no key and never had one; nothing is written then.
        SubjectHeld: it is under a hold; nothing is written.
        StoreUnavailable: the key store does not answer.
    """
    entries = keys.register.entries(asked.identity)
    begun = any(each.action in ("erase", "erased") for each in entries)
    is_held = bool(entries) and entries[-1].action == "hold"
    if not begun and not is_held and not keys.seen(asked.identity):
        said = f"subject {asked.hashes[-1]} has no key and never had one: no record of it was encrypted"
        raise UnknownSubject(f"{said}; expected: the subject as the column events.subject has it")
    before = next((each for each in reversed(entries) if each.action == "erased"), None)
    done = keys.erase(asked.identity, asked.asked)
    return Erased(asked, done.destroyed, done.ended, before)
