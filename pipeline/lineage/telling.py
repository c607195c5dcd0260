"""Tells a run's lineage from a thread of its own: whatever happens to an event, the run goes on.

Events wait in a queue of bounded length; the store is asked, and events are made and sent, in the thread alone. At its
end a run waits for them at most two seconds.
"""

import atexit
import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib.util import find_spec
from typing import Any, Protocol

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from ulid import ULID

from models.distribution import installing
from models.errors import StoreError, one_line
from models.redaction import hide_secrets, holds_credentials, public_uri
from models.store.store import ModelStore
from pipeline.lineage.sending import KEY, Send, sender_to
from pipeline.lineage.told import LineageEvent
from pipeline.lineage.versions import ServedVersion, versions_replayed, versions_serving
from pipeline.reporting.printer import note
from pipeline.spec.expansion import scheme_of
from pipeline.spec.job import with_defaults
from runners import direct
from schemas.times import now_us
from schemas.validation import Absent, SpecError

SECTION = "openlineage"
WAIT_S = 2.0
_EVERY_S = 60.0
_MOST_WAITING = 100
_LONGEST = 2_000


class Lineage(Protocol):
    """What a run calls while it goes: once it has an id, and once it has scored."""

    def begin(self, run: str) -> None: ...

    def scored(self, summary: Mapping[str, Any]) -> None: ...


class _Silent:
    def begin(self, run: str) -> None: ...

    def scored(self, summary: Mapping[str, Any]) -> None: ...


class LineageOfRun:
    """The lineage of one run, told to a file or a server.

    Args:
        document: the resolved spec, which has the section `openlineage`.
        bounded: whether the input ends; otherwise a change of the versions that serve is told while it runs.
        ends_here: whether the run ends with this process; a job that was submitted to a cluster goes on.
        every_s: how often that is looked at.
        send: takes an event; None: what the spec names.
        replayed: the versions that score, whatever is released; None: those of releases.
    """

    def __init__(
        self,
        document: Mapping[str, Any],
        bounded: bool,
        ends_here: bool = True,
        every_s: float = _EVERY_S,
        send: Send | None = None,
        replayed: Sequence[str] | None = None,
    ) -> None:
        self._document, self._bounded, self._ends_here = document, bounded, ends_here
        self._every_s, self._send, self._replayed = every_s, send, replayed
        self._section = with_defaults(document, SECTION)
        self._waiting: queue.Queue[LineageEvent | None] = queue.Queue(_MOST_WAITING)
        self._told, self._sent, self._why = 0, 0, ""
        self._ended = False
        self._scores: Mapping[str, int] | None = None
        self._done = threading.Event()

    def begin(self, run: str) -> None:
        """The run has this id (a ULID): START."""
        identity = str(ULID.from_str(run.upper()).to_uuid())
        atexit.register(self._interrupted)  # a signal ends a run without unwinding it
        threading.Thread(target=self._work, args=(identity,), name="lineage", daemon=True).start()
        self._tell("START")

    def scored(self, summary: Mapping[str, Any]) -> None:
        """The run ended with this summary; whether that is a success is told by `end`."""
        if self._bounded:
            self._scores = {version: sum(roles.values()) for version, roles in summary["versions"].items()}

    def end(self, error: BaseException | None) -> None:
        """COMPLETE, or FAIL or ABORT for the error that ended the run; waits for what is not sent, but not long.

        Of a job that goes on elsewhere when this process is interrupted, no end is told.
        """
        if self._ended or not self._told:
            return
        self._ended = True
        atexit.unregister(self._interrupted)
        if self._ends_here or error is None or isinstance(error, Exception):
            self._tell(*_end_of(error), self._scores)
        with suppress(queue.Full):
            self._waiting.put_nowait(None)
        self._done.wait(WAIT_S)
        self._say_failures()

    def _interrupted(self) -> None:
        self.end(KeyboardInterrupt())

    def _tell(self, what: str, error: str = "", scores: Mapping[str, int] | None = None) -> None:
        self._told += 1
        try:
            self._waiting.put_nowait(LineageEvent(what, now_us(), error, scores))
        except queue.Full:
            self._why = self._why or f"{_MOST_WAITING} events wait already"

    def _work(self, identity: str) -> None:
        try:
            from pipeline.lineage.events import RunEvents

            processing = "STREAMING" if self._replayed is None else "BATCH"
            events = RunEvents(self._document, identity, self._section["namespace"], processing)
            self._send_all(events, self._send or sender_to(self._section["uri"]))
        except Exception as error:  # whatever a library raises, the run goes on
            self._failed(error)
        finally:
            self._done.set()

    def _send_all(self, events: Any, send: Send) -> None:
        last: tuple[ServedVersion, ...] | None = None
        while (told := self._next(last)) is not None:
            try:
                with suppress(StoreError):  # without the store it is still known that it runs
                    last = self._versions(told.scores)
                send(events.text(told, last or ()))
                self._sent += 1
            except Exception as error:
                self._failed(error)

    def _next(self, last: tuple[ServedVersion, ...] | None) -> LineageEvent | None:
        """What is to be told next; of a stream also that other versions serve now than `last`."""
        while True:
            try:
                return self._waiting.get(timeout=None if self._bounded else self._every_s)
            except queue.Empty:
                with suppress(Exception):  # a store that does not answer is asked again
                    if self._versions(None) != last:
                        self._told += 1
                        return LineageEvent("RUNNING", now_us())

    def _versions(self, scores: Mapping[str, int] | None) -> tuple[ServedVersion, ...]:
        if self._replayed is not None and not self._replayed:
            return ()
        model = self._document["model"]
        store = ModelStore(model["store"], model["name"])
        if self._replayed is not None:
            return versions_replayed(store, self._replayed)
        return versions_serving(store, None if self._bounded else now_us(), scores)

    def _failed(self, error: Exception) -> None:
        first, self._why = not self._why, self._why or hide_secrets(one_line(error))
        if first and not self._bounded:  # it may run for weeks
            note(f"note: an event of lineage was not sent to {self._where()}; how many were not is said at the end")

    def _say_failures(self) -> None:
        if missing := self._told - self._sent:
            self._why = self._why or f"no answer within {WAIT_S:g} s of the end"
            note(f"note: {missing} of {self._told} events of lineage were not sent to {self._where()}")

    def _where(self) -> str:
        expected = "expected: a file that can be written, or a server of OpenLineage"
        return f"{self._section['uri']}: {self._why}; the run is not affected; {expected}"


def _end_of(error: BaseException | None) -> tuple[str, str]:
    if error is None:
        return "COMPLETE", ""
    text = hide_secrets(one_line(error))[:_LONGEST]
    if not isinstance(error, Exception):
        return "ABORT", "interrupted"
    # Beam's portable runners raise for a job that somebody cancelled.
    return ("ABORT" if " in state CANCELLED" in str(error) else "FAIL"), text


@contextmanager
def lineage_of(
    document: Mapping[str, Any],
    bounded: bool,
    beam_arguments: Sequence[str],
    replayed: Sequence[str] | None = None,
) -> Iterator[Lineage]:
    """What tells the lineage of a run, which is in the block, as `LineageOfRun` does; nothing where the spec has no
    section `openlineage`. `beam_arguments`: Beam's, which name the runner."""
    if SECTION not in document:
        yield _Silent()
        return
    runner = PipelineOptions(list(beam_arguments)).view_as(StandardOptions).runner
    lineage = LineageOfRun(document, bounded, ends_here=direct.is_named(runner), replayed=replayed)
    try:
        yield lineage
    except BaseException as error:
        lineage.end(error)
        raise
    lineage.end(None)


def lineage_of_verb(
    verb: str,
    document: Mapping[str, Any],
    sinks: Mapping[str, str],
    beam_arguments: Sequence[str],
    versions: Sequence[str] = (),
) -> AbstractContextManager[Lineage]:
    """As `lineage_of`, of what a verb makes of a job's input: `<job>.<verb>`, of type BATCH, which writes `sinks` and
    scores by `versions`."""
    own = {**document, "job": f"{document['job']}.{verb}", "sinks": dict(sinks)}
    return lineage_of(own, True, beam_arguments, versions)


def check_lineage(document: Mapping[str, Any]) -> None:
    """Raises `SpecError` for a section `openlineage` that cannot be obeyed."""
    if SECTION not in document:
        return
    uri = document[SECTION]["uri"]
    if find_spec("openlineage") is None or find_spec("openlineage.client") is None:
        raise SpecError(SECTION, Absent("openlineage-python is not installed"), f"it; {installing(SECTION)}")
    if scheme_of(uri) != "file" and holds_credentials(uri):
        found = Absent(f"{public_uri(uri)} has a user, a query or a fragment")
        raise SpecError(f"{SECTION}.uri", found, f"a URL without them; the server's key is read from {KEY}")
