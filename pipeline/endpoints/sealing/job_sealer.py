"""What seals the audit that a job writes, by the job's own spec."""

from collections.abc import Sequence
from typing import NamedTuple

from audit.files.chain import SealedMeanwhile
from audit.sealing.opening import open_sealer
from audit.sealing.sealing import Sealed, Sealer, SealLimits
from models.errors import one_line
from pipeline.endpoints.sink_locations import audit_folders
from pipeline.endpoints.uris import beam_path, scheme_of
from pipeline.process.audit_key import private_key
from schemas.job import Job, SealingSpec


class Sealing(NamedTuple):
    """What one sealing did: how many segments, receipts and model events it sealed; `failures`: why something could not
    be sealed, a line each."""

    segments: int = 0
    receipts: int = 0
    models: int = 0
    failures: tuple[str, ...] = ()


class JobSealer:
    """Seals each folder of `sinks.audit`; the private key is read where this runs, when it first seals.

    Args:
        job: whose audit it is; its `sealing` says how.
        waits: seal only what is enough, or has waited for the age of the spec; else all that is there.
    """

    def __init__(self, job: Job, waits: bool) -> None:
        assert job.sealing is not None
        self._job, self._spec, self._waits = job.name, job.sealing, waits
        self._folders = audit_folders(job.sinks.audit)
        self._sealers: dict[str, Sealer] = {}
        self._broken = set[str]()

    def seal(self) -> Sealing:
        """Seals what is due. Whatever fails is told and not raised: scoring does not depend on it, and nothing is
        lost, since the next sealing continues where one ended."""
        done, failures = list[Sealed](), list[str]()
        for folder in self._folders:
            try:
                sealed = self._sealer(folder).seal()
            except SealedMeanwhile:
                self._sealers.pop(folder, None)  # another process seals this audit, too
            except Exception as error:
                self._sealers.pop(folder, None)
                failures.append(f"{folder} is not sealed: {one_line(error)}")
            else:
                done.append(sealed)
                failures += self._news(folder, sealed)
        return _told(done, failures)

    def _news(self, folder: str, sealed: Sealed) -> list[str]:
        """The files that cannot be sealed, each the first time."""
        told = [f"{folder}: {key} is not sealed: {why}" for key, why in sealed.broken.items()]
        new = [each for each in told if each not in self._broken]
        self._broken.update(new)
        return new

    def _sealer(self, folder: str) -> Sealer:
        if folder not in self._sealers:
            self._sealers[folder] = _opened(folder, self._job, self._spec, self._waits)
        return self._sealers[folder]


def _opened(folder: str, job: str, spec: SealingSpec, waits: bool) -> Sealer:
    url = beam_path(folder) if scheme_of(folder) == "file" else folder
    key = None if spec.key is None else private_key(spec.key)
    return open_sealer(url, job, key, SealLimits(spec.size, spec.age_us if waits else None))


def _told(done: Sequence[Sealed], failures: Sequence[str]) -> Sealing:
    segments = [each for sealed in done for each in sealed.segments]
    counts = {kind: sum(each.records for each in segments if each.kind == kind) for kind in ("receipts", "models")}
    return Sealing(len(segments), counts["receipts"], counts["models"], tuple(failures))
