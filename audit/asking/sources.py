"""What questions are asked of: an audit, the store of the models that it is about, and who asks."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from audit.asking.answers import OneScore
from audit.asking.history import ModelHistory
from audit.files.audit import Audit, Name
from models.errors import StoreError, one_line
from models.store.access_log import AccessEntry, Detail
from models.store.backends import StoreUnavailable
from models.store.store import ModelStore
from schemas.errors import HalflifeError

ACCESSED = "accessed"
"""The action of the access log for what is read through the audit."""
_THE_STORE = "the store of the job that scored"


class UnknownToAudit(HalflifeError):
    """The audit has nothing of the name that was asked for; `str()` says what was looked through."""


class AuditSources:
    """An audit and the store beside it.

    `findings`: what is wrong with what was looked at, a line each; a command that has any fails. `broken_elsewhere`:
    files beside the audit that could not be read, and why.

    Args:
        audit: the receipts and model events.
        store_url: of the store of the models; each model's own is opened by its name.
        actor: who asks, for the access log.
        allow_pickle: open pickles to score again.
        known_at_us: ignore what was released, or said in model events, after this time (microseconds since 1970).
    """

    def __init__(
        self, audit: Audit, store_url: str, actor: str, allow_pickle: bool = False, known_at_us: int | None = None
    ) -> None:
        self.audit, self.actor, self.allow_pickle = audit, actor, allow_pickle
        self.store_url, self._known_at_us = store_url, known_at_us
        self.findings: list[str] = []
        self.broken_elsewhere: dict[str, str] = {}
        self._histories: dict[str, ModelHistory] = {}
        self._accesses: dict[str, tuple[AccessEntry, ...]] = {}

    @cached_property
    def events(self) -> list[Mapping[str, Any]]:
        """All model events."""
        return list(self.audit.model_events())

    def store_of(self, model: str) -> ModelStore:
        """The store of a model. Raises `StoreError` for a name that is not allowed."""
        return ModelStore(self.store_url, model)

    def history_of(self, model: str) -> ModelHistory:
        """What served when. Raises `StoreUnavailable` where the store does not answer."""
        if model not in self._histories:
            releases = self.store_of(model).releases()
            self._histories[model] = ModelHistory(releases, self.events, model, self._known_at_us)
        return self._histories[model]

    def accesses_of(self, model: str) -> tuple[AccessEntry, ...]:
        """The access log of a model's store, as it was when it was first asked for."""
        if model not in self._accesses:
            self._accesses[model] = self.store_of(model).accesses().entries
        return self._accesses[model]

    def record_access(self, model: str, question: str, **detail: Detail) -> None:
        """Writes who is about to see what into the access log of a model.

        Raises:
            UnknownToAudit: the store has no such model, and so no access log.
            StoreError: it was not written.
            In both cases nothing may be shown.
        """
        store = self.store_of(model)
        if not self.knows(model):  # writing would make a store where none is
            raise UnknownToAudit(f"{self._lacks(model)}; expected: {_THE_STORE}")
        said: dict[str, Any] = {"question": question, **detail}
        store.record_access(ACCESSED, self.actor, **said)

    def logged(self, by: Name, value: str) -> str:
        """A subject, or an event's id, as the access log names it: with keys by its hash in the last epoch."""
        return self.audit.stored_names(by, value)[-1]

    def knows(self, model: str) -> bool:
        """Whether the store has a model of that name, which may be one that no model can have."""
        try:
            return model in self.store_of(model).models()
        except StoreUnavailable:
            raise
        except StoreError:
            return False

    def allowed(self, models: Iterable[str], question: str, **detail: Detail) -> set[str]:
        """The models whose records may be shown: those whose access log says now who sees them; another is a finding.

        Raises:
            UnknownToAudit: there is none.
            StoreError: an access was not written; nothing may be shown then.
        """
        wanted = sorted(set(models))
        known = [model for model in wanted if self.knows(model)]
        for model in wanted:
            if model not in known:
                self.findings.append(f"{self._lacks(model)}; expected: {_THE_STORE}")
        if wanted and not known:
            self.findings.clear()
            raise UnknownToAudit(f"{self._lacks(wanted[0])}; expected: {_THE_STORE}")
        for model in known:
            self.record_access(model, question, **detail)
        return set(known)

    def _lacks(self, model: str) -> str:
        return f"store {self.store_url} has no model {model!r}, whose access log must say who reads this"

    def take_findings(self, answered: Iterable[OneScore]) -> None:
        """Keeps the contradictions among answers."""
        self.findings += [answer.finding for answer in answered if answer.finding]

    def closing_findings(self) -> list[str]:
        """All findings, those of files that could not be read among them."""
        named = [f"{self.audit.url}: {key} is passed over: {why}" for key, why in sorted(self.audit.broken.items())]
        named += [f"{key} is passed over: {why}" for key, why in sorted(self.broken_elsewhere.items())]
        return [*dict.fromkeys(self.findings), *named]


def missing(error: BaseException) -> str:
    """Why a part of an answer cannot be given."""
    return one_line(error)
