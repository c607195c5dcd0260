"""One version checked in a process of its own: a model that crashes or hangs becomes a finding and does not end the
doctor."""

import contextlib
import importlib
import multiprocessing
import os
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import NamedTuple

from models.admission.admission import DEFAULT_TIMEOUT_S, Admission
from models.errors import BundleRefused, one_line
from models.memory import peak_bytes, resident_bytes
from models.scorers import scorer_class
from models.store.store import ModelStore

_BESIDE_S = 300.0
"""Seconds for everything other than the checks: the start of the process, its libraries, the download."""


class Question(NamedTuple):
    """A version in a store, and what the job requires of it: as the arguments of `Admission`."""

    store: str
    model: str
    version: str
    columns: Mapping[str, str] | None
    allow_pickle: bool
    max_bytes: int
    trusted_key: str | None
    job: str | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S
    trust: tuple[str, ...] = ()


class Trial(NamedTuple):
    """The verdict of admission, and its cost in memory.

    `library_bytes`: what the scorer's libraries added to the process; `growth_bytes`: what downloading, loading and
    proving the version added at most. Null where it could not be measured. `warnings`: of a version that is admitted.
    """

    admitted: bool
    reason: str | None
    detail: str
    growth_bytes: int | None = None
    library_bytes: int | None = None
    warnings: tuple[str, ...] = ()


def try_version(question: Question, seconds: float | None = None) -> Trial:
    """Runs all checks of admission on a version; `reason` is `died` or `no_answer` where there is no verdict.

    Args:
        question: what is tried.
        seconds: how long to wait; None for the time limit of the checks plus the time for everything else.
    """
    seconds = question.timeout_s + _BESIDE_S if seconds is None else seconds
    spawned = multiprocessing.get_context("spawn")
    ours, theirs = spawned.Pipe(duplex=False)
    process = spawned.Process(target=_answer, args=(theirs, question), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(seconds):
            return Trial(False, "no_answer", f"it was not tried to the end within {seconds:.0f} s")
        found: Trial = ours.recv()
        return found
    except EOFError:
        process.join()
        return Trial(False, "died", f"the process that tried it ended with exit code {process.exitcode}")
    finally:
        process.kill()
        process.join()
        ours.close()


def _answer(connection: Connection, question: Question) -> None:
    # Libraries that read models may print anything; the answer goes through the pipe.
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)
    try:
        trial = _try(question)
    except Exception as error:  # whatever the store or a library raises is the answer, in one line
        trial = Trial(False, "no_answer", one_line(error))
    connection.send(trial)


def _try(question: Question) -> Trial:
    store = ModelStore(question.store, question.model)
    empty = resident_bytes()
    with contextlib.suppress(BundleRefused, ImportError):  # admission says what is wrong with it
        for library in scorer_class(store.read_manifest(question.version).scorer).requires:
            importlib.import_module(library)
    loaded = resident_bytes()
    columns = None if question.columns is None else dict(question.columns)
    admission = Admission(
        store,
        columns,
        question.allow_pickle,
        question.max_bytes,
        question.trusted_key,
        timeout_s=question.timeout_s,
        job=question.job,
        trust=question.trust,
    )
    verdict = admission.check_version(question.version)
    grown, libraries = _grown(loaded, peak_bytes()), _grown(empty, loaded)
    return Trial(verdict.admitted, verdict.reason, verdict.detail, grown, libraries, verdict.warnings)


def _grown(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else max(after - before, 0)
