"""A scorer whose model a server holds: a batch is sent as requests, and every record gets a score or a reason."""

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bundles.manifest import Manifest, Output
from models.scorers.asking import outside
from models.scorers.base import NotReady, PartlyScored, Scorer, WillNotLoad
from models.scorers.remote.access import check_allowed
from models.scorers.remote.calls import Calls, Pace, slots_at
from models.scorers.remote.circuit import Circuit
from models.scorers.remote.failures import CallFailed, ServerFailed
from models.scorers.remote.halving import Failures, Halving, Scores, failed
from models.scorers.remote.parameters import Parameters, parse_parameters
from schemas.reasons import in_words


class ModelService(Protocol):
    """One protocol to one model of one server; a call is one attempt. Thread-safe."""

    def check(self, timeout_s: float) -> None:
        """Check that the server has the model in the wanted version; raises CallFailed."""

    def predict(self, batch: pa.RecordBatch, timeout_s: float) -> Scores:
        """The scores of n > 0 records, shape (n,), NaN where there is none; raises CallFailed."""

    def close(self) -> None:
        """Close the connections."""


class RemoteScorer(Scorer, ABC):
    """Shared by the kinds, each of which defines which URLs and keys it accepts and how it calls the server."""

    schemes: ClassVar[tuple[str, ...]]
    keys: ClassVar[frozenset[str]]
    required: ClassVar[tuple[str, ...]] = ()
    takes_vectors = True
    asks_server = True

    def __init__(
        self, service: ModelService, manifest: Manifest, parameters: Parameters, pace: Pace | None = None
    ) -> None:
        pace = pace or Pace()
        self._service = service
        self._output = manifest.output
        named = () if parameters.column is not None else parameters.classes
        self._labels = {float(index): label for index, label in enumerate(named)}
        self._max_rows = parameters.max_rows
        server = parameters.address.server
        limits = {"failures": 3, "open_s": 10.0, **parameters.circuit}
        circuit = Circuit(server, int(limits["failures"]), limits["open_s"], pace.clock)
        self._calls = Calls(circuit, slots_at(server), parameters.timeout_s, parameters.deadline_s, pace)
        self._threads = ThreadPoolExecutor(parameters.concurrency, thread_name_prefix=f"remote-{manifest.version}")

    @classmethod
    @abstractmethod
    def connect(cls, manifest: Manifest, parameters: Parameters) -> ModelService:
        """Make the service; raises WillNotLoad, or CallFailed where the server has to be asked."""

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> "RemoteScorer":
        """Check the parameters, that the operator allows the server, and that it has the model. Reads no file.

        Raises:
            InvalidManifest: the parameters say something that is not allowed.
            WillNotLoad: the server may not be asked, or a secret is not in the environment.
            NotReady: the server does not answer, or does not have the model: asking again later may help.
        """
        return cls.load_paced(manifest, Pace())

    @classmethod
    def load_paced(cls, manifest: Manifest, pace: Pace) -> "RemoteScorer":
        """As `load`, with the given clock, pauses and randomness."""
        parameters = parse_parameters(manifest, cls.schemes, cls.keys, cls.required)
        try:
            check_allowed(parameters.address, os.environ)
            service = cls._checked(manifest, parameters)
        except CallFailed as failure:
            server = parameters.address.server
            raise NotReady(f"{cls.kind}: {server}: {in_words(type(failure).__name__)}: {failure}") from None
        except WillNotLoad as refusal:
            raise WillNotLoad(f"{cls.kind}: {refusal}") from None
        return cls(service, manifest, parameters, pace)

    @classmethod
    def _checked(cls, manifest: Manifest, parameters: Parameters) -> ModelService:
        service = cls.connect(manifest, parameters)
        try:
            service.check(parameters.timeout_s)
        except CallFailed:
            service.close()
            raise
        return service

    def labels(self) -> Mapping[float, str]:
        """The labels that `parameters.classes` gives the class indexes."""
        return self._labels

    def score(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        """Score by requests of at most `max_rows` records, `concurrency` of them at once.

        Raises:
            PartlyScored: a record has no score; names each with error and detail. It must not be bisected: that was
                done where it helps.
        """
        if batch.num_rows == 0:
            return np.empty(0, dtype=np.float64)
        parts = [batch.slice(start, self._max_rows) for start in range(0, batch.num_rows, self._max_rows)]
        scores, failures, unavailable = _joined(self._answers(parts))
        _refuse_outside(scores, failures, self._output)
        if failures:
            raise PartlyScored(scores, failures, unavailable)
        return scores

    def _answers(self, parts: list[pa.RecordBatch]) -> Iterator["tuple[Scores, Failures, bool]"]:
        stop = _Stop()
        if len(parts) == 1:
            return iter([self._part(parts[0], stop)])
        return self._threads.map(lambda part: self._part(part, stop), parts)

    def _part(self, part: pa.RecordBatch, stop: "_Stop") -> tuple[Scores, Failures, bool]:
        """Scores and failures of one request, and whether it may be answered later."""
        if stop.failure is not None:
            return *failed(part.num_rows, 0, stop.failure, "not sent: "), stop.failure.passing
        try:
            return *Halving(self._send).score(part), False
        except CallFailed as failure:
            if failure.whole:
                stop.failure = failure
            if isinstance(failure, ServerFailed):
                self._calls.broke()  # on every record: not the fault of one
            return *failed(part.num_rows, 0, failure), failure.passing

    def _send(self, batch: pa.RecordBatch, once: bool) -> Scores:
        return self._calls.send(lambda timeout_s: self._service.predict(batch, timeout_s), once)

    def close(self) -> None:
        """Close the connections; requests under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._service.close()


class _Stop:
    """Set by the first request of a batch whose failure means that the others would fail in the same way."""

    def __init__(self) -> None:
        self.failure: CallFailed | None = None


def _joined(answers: Iterator[tuple[Scores, Failures, bool]]) -> tuple[Scores, Failures, bool]:
    parts: list[Scores] = []
    failures: Failures = {}
    unavailable, start = False, 0
    for scores, wrong, whole in answers:
        failures |= {start + row: reason for row, reason in wrong.items()}
        unavailable = unavailable or whole
        parts.append(scores)
        start += len(scores)
    return np.concatenate(parts), failures, unavailable


def _refuse_outside(scores: Scores, failures: Failures, output: Output) -> None:
    """A failure for each probability outside 0 to 1. NaN and infinity stay: every caller refuses them."""
    for row in np.flatnonzero(outside(scores, output)).tolist():
        failures.setdefault(row, ("NotAProbability", f"the server answered {scores[row]:.12g}; allowed: 0 to 1"))
        scores[row] = math.nan
