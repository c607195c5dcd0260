"""SealAudit: what a stream wrote is sealed while it runs."""

import logging
import threading
from collections.abc import Callable

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec

from pipeline.endpoints.sealing.job_sealer import JobSealer, Sealing
from schemas.job import Job
from schemas.times import now_us
from transforms.flow import metrics
from transforms.flow.state import Plain, VersionedStateCoder

_LOG = logging.getLogger(__name__)
_STATE_VERSION = 1
MOST_BETWEEN_US = 60_000_000
"""How long it takes at most from one look for what is due to the next, where there are heartbeats."""


class _SealFn(beam.DoFn):
    """Seals in a thread of its own: a bundle must not wait for it, and with the bundle a checkpoint. A process that is
    killed meanwhile leaves what the next sealing completes or removes."""

    LOOKED_AT = ReadModifyWriteStateSpec("looked_at", VersionedStateCoder("looked_at", _STATE_VERSION, Plain(int)))

    def __init__(self, job: Job, clock_us: Callable[[], int]) -> None:
        assert job.sealing is not None
        self._job, self._clock_us = job, clock_us
        self._every_us = min(job.sealing.age_us, MOST_BETWEEN_US)

    def setup(self) -> None:
        self._sealer = JobSealer(self._job, waits=True)
        self._thread: threading.Thread | None = None
        self._done: Sealing | None = None

    def process(  # type: ignore[no-untyped-def]  # Beam passes state through defaults
        self, element: tuple[int, int], looked_at=beam.DoFn.StateParam(LOOKED_AT)
    ) -> None:
        now = self._clock_us()
        # A clock that was put back must not stop it.
        if abs(now - (looked_at.read() or 0)) < self._every_us:
            return
        if self._thread is not None and self._thread.is_alive():
            return
        self._tell()
        looked_at.write(now)
        self._thread = threading.Thread(target=self._seal, name="seal-audit", daemon=True)
        self._thread.start()

    def _seal(self) -> None:
        self._done = self._sealer.seal()

    def _tell(self) -> None:
        """Counts what the last sealing did: only in a bundle there is something to count for."""
        done, self._done, self._thread = self._done, None, None
        if done is None:
            return
        metrics.counter(metrics.SEGMENTS_SEALED).inc(done.segments)
        metrics.counter(metrics.RECEIPTS_SEALED).inc(done.receipts)
        metrics.counter(metrics.SEALINGS_FAILED).inc(bool(done.failures))
        for failure in done.failures:
            _LOG.warning("%s; scoring continues", failure)


class SealAudit(beam.PTransform[beam.PCollection[pa.RecordBatch], beam.PCollection[None]]):
    """Seals the audit of a stream, as `halflife audit seal --follow` does beside it.

    Input: batches of ModelEvents, of which the watcher's heartbeats come with each poll; they only say that it is time
    to look. What is sealed are the files that are there then: a file appears when it is complete, and what a bundle
    that is retried writes again is a duplicate, sealed or not. Output: nothing. State, under one key: when it was last
    looked. What fails is counted and logged, and never stops scoring.
    """

    def __init__(self, job: Job, clock_us: Callable[[], int] = now_us) -> None:
        super().__init__()
        self._job, self._clock_us = job, clock_us

    def expand(self, model_events: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[None]:
        ticks = model_events | "Key" >> beam.Map(lambda batch: (0, batch.num_rows)).with_output_types(tuple[int, int])
        sealed: beam.PCollection[None] = ticks | "Seal" >> beam.ParDo(_SealFn(self._job, self._clock_us))
        return sealed
