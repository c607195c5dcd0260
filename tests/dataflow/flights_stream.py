"""The embedded job as it would run on Dataflow, translated by Beam's own runner, without a network."""

from dataclasses import replace
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner

from pipeline.dag import build
from pipeline.endpoints.kafka.address import kafka_address
from pipeline.endpoints.labels.label_source import LabelSource
from pipeline.endpoints.outputs import write_outputs
from pipeline.endpoints.sources import Topic
from pipeline.spec.documents import apply_settings, read_document
from pipeline.spec.job import parse_job
from runners.dataflow.settings import with_profile
from schemas.validation import validate

KAFKA_PASSWORD = "a-password-of-a-broker"
IMAGE = "europe-docker.pkg.dev/p-1/halflife/halflife:1"
SETTINGS = (
    f"events.uri=kafka://broker:9092/departures?config={Path(__file__).parent / 'kafka.properties'}",
    "model.store=gs://bucket/models",
    *(f"sinks.{name}=gs://bucket/{name}" for name in ("scores", "audit", "drift", "dead_letters")),
)
COLUMNS = {
    **dict.fromkeys(("carrier", "origin", "dest"), "string"),
    **dict.fromkeys(("dep_delay", "distance"), "number"),
    "sched_dep_hour": "integer",
}
ARGUMENTS = (
    "--project=p-1", "--region=europe-west1", "--temp_location=gs://bucket/tmp", "--staging_location=gs://bucket/st",
    f"--sdk_container_image={IMAGE}", "--no_auth", "--dry_run=True", "--streaming",
)  # fmt: skip


def translate(labels: LabelSource | None = None) -> beam_runner_api_pb2.Pipeline:
    """The pipeline proto that `DataflowRunner` would submit for the flights job as a stream; with labels it measures
    quality by them."""
    document = read_document(None)
    apply_settings(document, (*SETTINGS, *(["sinks.quality=gs://bucket/quality"] if labels else [])))
    validate(document, "job")
    job = replace(parse_job(document, COLUMNS), labels=None if labels is None else labels.spec)
    options = PipelineOptions(with_profile(ARGUMENTS, job.name, True))
    # The runner is called, not named: constructing a pipeline for it would look for the buckets.
    pipeline = beam.Pipeline(options=options)
    source = Topic(kafka_address(document["events"]["uri"], "events.uri"), "avro")
    raw = pipeline | "ReadEvents" >> source.read(job.events)
    truth = None if labels is None else pipeline | "ReadLabels" >> labels.read()
    write_outputs(build(raw, job, labels=truth), job, "run")
    submitted = DataflowRunner().run_pipeline(pipeline, options).job
    proto = beam_runner_api_pb2.Pipeline()
    proto.CopyFrom(submitted.proto_pipeline)
    return proto
