"""Admitted releases and a watcher's progress as plain bytes: the part of its timeline that a job keeps in state."""

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
    """With the signature as JSON text: it may hold any JSON, including numbers that do not fit into int64."""
    return release if release.signature is None else replace(release, signature=json.dumps(release.signature))


def _read(release: Release) -> Release:
    signature: Any = release.signature
    return release if signature is None else replace(release, signature=json.loads(signature))
