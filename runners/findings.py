"""The input and the result of a check before a run: plain values, so that runners stay a leaf."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

Verdict = Literal["ok", "warn", "fail", "not checked"]
MIB = 1024 * 1024


class Finding(NamedTuple):
    """One check: its subject, the verdict, what was found, and what to change (empty if nothing)."""

    check: str
    verdict: Verdict
    found: str
    change: str = ""


class ServingCost(NamedTuple):
    """A version that may serve: its kind of scorer, the bytes of its bundle, and its cost in a process's memory.

    `growth_bytes`: what loading and checking it added at most; `library_bytes`: what the libraries of its kind added,
    which versions of one kind share. Null where it could not be measured.
    """

    version: str
    scorer: str
    bundle_bytes: int
    growth_bytes: int | None
    library_bytes: int | None


class Facts(NamedTuple):
    """What is known of a job before it runs.

    `uris`: path in the spec to URI, of everything that the job reads and writes. `process_bytes`: memory of a process
    that has Beam and the job's code but no model. `events`: how many the input holds, about. `graph`: the pipeline
    proto, serialised. Each is None where it is not known.
    """

    job: str
    streaming: bool
    uris: Mapping[str, str]
    models: tuple[ServingCost, ...] = ()
    process_bytes: int | None = None
    events: int | None = None
    graph: bytes | None = None

    @property
    def worker_bytes(self) -> int | None:
        """Memory of one worker process with all live models loaded, at most; None if a part of it is not known."""
        libraries = {model.scorer: model.library_bytes for model in self.models}
        parts = [self.process_bytes, *libraries.values(), *(model.growth_bytes for model in self.models)]
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None


def ok(check: str, found: str) -> Finding:
    """Nothing to change."""
    return Finding(check, "ok", found)


def warn(check: str, found: str, change: str) -> Finding:
    """The job would run, but something about it should be known."""
    return Finding(check, "warn", found, change)


def fail(check: str, found: str, change: str) -> Finding:
    """The job would not run, or not as intended."""
    return Finding(check, "fail", found, change)


def unchecked(check: str, why: str, change: str = "") -> Finding:
    """It could not be checked from here, which is neither a success nor a failure."""
    return Finding(check, "not checked", why, change)


def memory(check: str, facts: Facts, processes: int, available: int, where: str) -> Finding:
    """Whether so many worker processes with all live models fit into `available` bytes; `where` says of what."""
    if not facts.models:
        return unchecked(check, "no version is known that would be loaded")
    if facts.worker_bytes is None:
        return unchecked(check, "the memory of the worker with its models was not measured")
    needed = processes * facts.worker_bytes
    times = "" if processes == 1 else f"{processes} processes of {facts.worker_bytes // MIB:,} MiB, together "
    found = f"{times}{needed // MIB:,} MiB with {len(facts.models)} live version(s); {available // MIB:,} MiB {where}"
    if needed > available:
        return fail(check, found, "fewer live versions, fewer processes or more memory for each worker")
    if needed > 0.7 * available:
        return warn(check, found, "leave about a third for events, state and the system")
    return ok(check, found)
