"""Admitted releases and a watcher's progress as plain bytes: what the state of a job keeps of its timeline."""

import json
from dataclasses import replace
from typing import Any

from models.admission.watcher import Progress
from models.releases.release import AdmittedRelease, Release
from transforms.flow.state import Plain

PROGRESS_VERSION, RELEASES_VERSION = 3, 2


class AdmittedForm:
    """An `AdmittedRelease`."""

    _plain = Plain(AdmittedRelease)

    def encode(self, value: AdmittedRelease) -> bytes:
        return self._plain.encode(replace(value, release=_written(value.release)))

    def decode(self, encoded: bytes) -> AdmittedRelease:
        admitted: AdmittedRelease = self._plain.decode(encoded)
        return replace(admitted, release=_read(admitted.release))


class ProgressForm:
    """A watcher's `Progress`."""

    _plain = Plain(Progress)

    def encode(self, value: Progress) -> bytes:
        return self._plain.encode(value._replace(pending=tuple(map(_written, value.pending))))

    def decode(self, encoded: bytes) -> Progress:
        progress: Progress = self._plain.decode(encoded)
        return progress._replace(pending=tuple(map(_read, progress.pending)))


def _written(release: Release) -> Release:
    """With a signature as JSON text: it may hold anything that JSON can say, also numbers that are no int64."""
    return release if release.signature is None else replace(release, signature=json.dumps(release.signature))


def _read(release: Release) -> Release:
    signature: Any = release.signature
    return release if signature is None else replace(release, signature=json.loads(signature))
