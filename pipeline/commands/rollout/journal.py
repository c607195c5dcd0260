"""The audit of a job as the journal of what decides about its versions: gates, advice, calls of a hook."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from audit.files.appending import append_model_event
from audit.files.audit import Audit
from gates.acting import KIND
from models.store.backends import Backend
from schemas.records import ModelEvent


class NoJournal:
    """Of who only looks: nothing is known and nothing is written."""

    def known(self) -> Iterable[Mapping[str, Any]]:
        """Nothing."""
        return ()

    def append(self, event: ModelEvent) -> None:
        """Drops it: it comes from no release."""


class AuditJournal:
    """Reads the `gate` events of an audit, or those of other kinds, once, and appends its own as separate files.

    Args:
        url: of the audit: a folder or an object store.
        job: the job's name, for the header of the files.
        kinds: of the events that are read.

    Raises:
        InvalidStoreUrl: no object store can be opened with it.
    """

    def __init__(self, url: str, job: str | None, kinds: Collection[str] = (KIND,)) -> None:
        self.audit, self._backend, self._job, self._kinds = Audit(url), Backend(url), job, kinds
        self._known: list[Mapping[str, Any]] | None = None

    def known(self) -> Iterable[Mapping[str, Any]]:
        """As `gates.acting.Journal`. Raises `BrokenChain`, `StoreUnavailable`."""
        if self._known is None:
            found = [each for each in self.audit.model_events() if each["kind"] in self._kinds]
            self._known = sorted(found, key=lambda each: int(each["at"]))
        return self._known

    def forget(self) -> None:
        """Lets the next question read the audit again: others write to it too."""
        self._known = None

    def append(self, event: ModelEvent) -> None:
        """As `gates.acting.Journal`. Raises `StoreUnavailable`."""
        known = [*self.known()]
        append_model_event(self._backend, event, self._job)
        # As the audit reads it: there the field of its time is `at`.
        self._known = [*known, {**event._asdict(), "at": event.at_us}]
