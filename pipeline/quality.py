"""The branch of the graph that measures quality, where a job has labels and a sink for it."""

from typing import NamedTuple, Protocol

import apache_beam as beam
import pyarrow as pa

from models.bundles.folders import WrongDigest
from models.bundles.manifest import Manifest
from models.store.store import ModelStore
from schemas.formats.raw import RawBlock
from schemas.job import Job, ModelSpec
from transforms.arrivals.done_before import Earlier
from transforms.labels.join_labels import DecodeLabels
from transforms.quality.earlier_answers import EarlierAnswers, EarlierMeasured, NewPanes
from transforms.quality.measure_quality import MeasurePairs, MeasureQuality, QualitySpec

Batches = beam.PCollection[pa.RecordBatch]


class EarlierRuns(Earlier, EarlierMeasured, Protocol):
    """Reads what earlier runs of a job did."""


class MeasuredQuality(NamedTuple):
    """`records`: batches of Quality, None where nothing is measured; `dead_letters`: of labels, several collections."""

    records: Batches | None = None
    dead_letters: tuple[Batches, ...] = ()


class StoredManifests:
    """Reads a version's manifest from the store; picklable."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec

    def load(self, version: str, digest: str) -> Manifest:
        """The manifest with that digest.

        Raises:
            StoreError, BundleRefused: the store does not answer or the bundle is not that one.
        """
        store = ModelStore(self._spec.store, self._spec.name)
        manifest = store.read_manifest(version)
        if manifest.digest != digest:
            raise WrongDigest(f"{store.url}: version {version!r} has the digest {manifest.digest}; expected: {digest}")
        return manifest


def quality_of(
    scored: Batches,
    labels: beam.PCollection[RawBlock] | None,
    job: Job,
    run: str | None,
    events: Batches | None = None,
    earlier: EarlierRuns | None = None,
) -> MeasuredQuality:
    """The quality of scored events by raw stretches of labels; without these, of pairs of versions alone, where the job
    has a sink for it. `earlier`: what earlier runs answered to some of the `events`, which is measured with what was
    scored now."""
    if labels is None and job.sinks.quality is None:
        return MeasuredQuality()
    loader, letters, answers = StoredManifests(job.model), tuple[Batches, ...](), scored
    by = QualitySpec(job.drift, job.labels, job.features.shards, job.fairness, job.events.subject is not None)
    if events is not None and earlier is not None:
        before = events | "EarlierAnswers" >> EarlierAnswers(earlier, by.columns, job.events)
        answers = (scored, before) | "AllAnswers" >> beam.Flatten()
    if labels is None or job.labels is None:
        pairs = MeasurePairs(by, loader, job.model.name, run)
        measured = answers | "MeasureQuality" >> pairs
    else:
        known = labels | "DecodeLabels" >> DecodeLabels(job.labels)
        measured = (answers, known.good) | "MeasureQuality" >> MeasureQuality(by, loader, job.model.name, run)
        letters = (known.dead_letters, measured.dead_letters)
    records = measured.quality if earlier is None else measured.quality | "NewPanes" >> NewPanes(earlier)
    return MeasuredQuality(records, letters)
