"""A run as events of OpenLineage: its job, what it reads and writes, and the versions that score."""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

from models.distribution import DISTRIBUTION, installed_version
from pipeline.lineage.data_sets import DataSet, inputs_of, named, outputs_of
from pipeline.lineage.told import LineageEvent
from pipeline.lineage.versions import ServedVersion
from schemas.times import format_time_us

FACET = "halflife_model"
"""The key of our own facet; `schemas/json/lineage_model.schema.json` says what is in it."""
SCHEMA_URL = "urn:halflife-beam:json-schema:lineage_model:1#/$defs/HalflifeModelDatasetFacet"


@cache
def facet_class() -> Any:
    """The class of our own facet: what a version is, its role in a release, and how good it was at training."""
    import attr
    from openlineage.client.facet_v2 import DatasetFacet

    @attr.define
    class HalflifeModelDatasetFacet(DatasetFacet):
        model: str
        version: str
        role: str
        release: int
        digest: str | None = None
        scorer: str | None = None
        trainedAt: str | None = None  # noqa: N815  # facets are written in camel case
        quality: dict[str, float] | None = None
        scores: int | None = None

        @staticmethod
        def _get_schema() -> str:
            return SCHEMA_URL

    return HalflifeModelDatasetFacet


class RunEvents:
    """The events of one run.

    Args:
        document: the resolved spec.
        run_id: of the run, as a UUID.
        namespace: of the job.
        processing: STREAMING or BATCH.
    """

    def __init__(self, document: Mapping[str, Any], run_id: str, namespace: str, processing: str = "STREAMING") -> None:
        from openlineage.client import event_v2
        from openlineage.client.facet_v2 import job_type_job, processing_engine_run

        event_v2.set_producer(producer())
        self._document, self._run_id = document, run_id
        kind = job_type_job.JobTypeJobFacet(processing, "BEAM", "JOB")
        self._job = event_v2.Job(namespace, document["job"], {"jobType": kind})
        self._inputs = [_input(each) for each in inputs_of(document)]
        self._outputs = [_output(each) for each in outputs_of(document)]
        engine = processing_engine_run.ProcessingEngineRunFacet(
            version("apache-beam"), "Apache Beam", installed_version(DISTRIBUTION)
        )
        self._engine = {"processing_engine": engine}

    def text(self, told: LineageEvent, versions: Iterable[ServedVersion]) -> str:
        """The event that says what became of the run, with the versions that serve or scored: JSON in one line."""
        from openlineage.client import event_v2
        from openlineage.client.facet_v2 import error_message_run
        from openlineage.client.serde import Serde

        facets: dict[str, Any] = dict(self._engine)
        if told.error:
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(told.error, "PYTHON")
        event = event_v2.RunEvent(
            eventType=event_v2.RunState[told.what],
            eventTime=format_time_us(told.at_us),
            run=event_v2.Run(self._run_id, facets),
            job=self._job,
            inputs=[*self._inputs, *(_model(self._document["model"]["name"], each, told.scores) for each in versions)],
            outputs=self._outputs,
        )
        return Serde.to_json(event)


def producer() -> str:
    """Who makes these events, as a URI."""
    return f"urn:{DISTRIBUTION}:{installed_version(DISTRIBUTION) or 'unknown'}"


def _input(found: DataSet, **facets: Any) -> Any:
    from openlineage.client.event_v2 import InputDataset

    return InputDataset(found.namespace, found.name, facets=_of_kind(found) | facets)


def _output(found: DataSet) -> Any:
    from openlineage.client.event_v2 import OutputDataset

    return OutputDataset(found.namespace, found.name, facets=_of_kind(found))


def _of_kind(found: DataSet) -> dict[str, Any]:
    from openlineage.client.facet_v2 import dataset_type_dataset

    return {"datasetType": dataset_type_dataset.DatasetTypeDatasetFacet(found.kind, found.use)}


def _model(model: str, served: ServedVersion, scores: Mapping[str, int] | None) -> Any:
    from openlineage.client.facet_v2 import dataset_version_dataset

    manifest = served.manifest
    of_bundle = (
        {} if manifest is None else {"version": dataset_version_dataset.DatasetVersionDatasetFacet(manifest.digest)}
    )
    own = facet_class()(
        model,
        served.version,
        served.role,
        served.release,
        digest=None if manifest is None else manifest.digest,
        scorer=None if manifest is None else manifest.scorer,
        trainedAt=None if manifest is None else manifest.training["trained_at"],
        quality=dict(served.quality) or None,
        scores=None if scores is None else scores.get(served.version, 0),
    )
    return _input(named(served.location, "model", "MODEL"), **{FACET: own}, **of_bundle)
