"""What the answers of versions mean, found without stopping what is scored."""

import logging
import time
from collections.abc import Callable
from typing import Protocol

import pyarrow as pa

from models.bundles.manifest import Manifest
from models.errors import BundleRefused, StoreError, one_line
from models.serving.cache import shared_cache
from schemas import batches
from transforms.scoring.scoring import decisions

RETRY_AFTER_S = 30.0
_LOG = logging.getLogger(__name__)


class ManifestLoader(Protocol):
    """Reads the manifest of a version. Must pickle."""

    def load(self, version: str, digest: str) -> Manifest:
        """Raises `StoreError`, `BundleRefused` or `OSError` where it cannot be read."""


class Manifests:
    """Those of the versions that this process has loaded, which are all that it scores by; else the loader is asked. A
    manifest is immutable and named by its digest. Not thread-safe."""

    def __init__(self, loader: ManifestLoader, clock: Callable[[], float] = time.monotonic) -> None:
        self._loader, self._clock = loader, clock
        self._found: dict[str, Manifest] = {}
        self._failed: dict[str, float] = {}

    def of(self, version: str, digest: str) -> Manifest | None:
        """The manifest; None where it cannot be read at the moment."""
        if digest not in self._found:
            loaded = shared_cache().peek(digest)
            found = self._asked(version, digest) if loaded is None else loaded.manifest
            if found is None:
                return None
            self._found[digest] = found
        return self._found[digest]

    def _asked(self, version: str, digest: str) -> Manifest | None:
        if self._clock() < self._failed.get(digest, float("-inf")):
            return None
        try:
            return self._loader.load(version, digest)
        except (StoreError, BundleRefused, OSError) as error:
            self._failed[digest] = self._clock() + RETRY_AFTER_S
            _LOG.warning(
                "manifest of version %s: %s; its answers are not in the quality meanwhile", version, one_line(error)
            )
            return None


def decided_classes(manifest: Manifest, scored: pa.RecordBatch) -> pa.Array | None:
    """The labels that a model decides on, of classes without a threshold; None where it is not loaded here."""
    loaded = shared_cache().peek(manifest.digest)
    if loaded is None:
        return None
    scores = scored.column(batches.SCORE).to_numpy(zero_copy_only=False)
    return decisions(scores, manifest.output, loaded.scorer.labels())
