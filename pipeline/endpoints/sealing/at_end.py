"""What a bounded run wrote is sealed before the run returns."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.endpoints.sealing.job_sealer import JobSealer
from pipeline.process.audit_key import private_key
from pipeline.reporting.outcomes import RunFailed
from pipeline.reporting.printer import note
from pipeline.reporting.saying import say
from schemas.job import Job

_NAMED = 3


def check_sealing(job: Job, bounded: bool) -> None:
    """Raises `SpecError` where the key of a job that seals at its end cannot be read; workers of a stream read it where
    they run."""
    if bounded and job.sealing is not None and job.sealing.key is not None:
        private_key(job.sealing.key)


@contextmanager
def sealed_at_end(job: Job, bounded: bool) -> Iterator[None]:
    """Seals the audit of a bounded job that asks for it after the run in the block, also where its outcome is a
    failure: its receipts are there. What cannot be sealed is said, and no failure of the run."""
    try:
        yield
    except RunFailed:
        _seal(job, bounded)
        raise
    _seal(job, bounded)


def _seal(job: Job, bounded: bool) -> None:
    if job.sealing is None or not bounded:
        return
    done = JobSealer(job, waits=False).seal()
    if done.segments:
        say(f"sealed {done.receipts:,} receipts and {done.models:,} model events")
    for failure in done.failures[:_NAMED]:
        note(f"{failure}; next: halflife audit seal", "error")
    if len(done.failures) > _NAMED:
        note(f"{len(done.failures) - _NAMED} more cannot be sealed; next: halflife audit seal", "error")
