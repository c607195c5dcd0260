"""What leaves the launcher: the flights job from Pub/Sub through its own command line to a recording endpoint.

The bucket is on a GCS server, the subscription on a Pub/Sub server, the tables on BigQuery's wire format.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2
from google.cloud.dataflow_v1beta3.types import Job, JobType

from models.store.store import ModelStore
from runners.dataflow.compatibility import graph_of
from tests.dataflow.doubles.bigquery_server import BigqueryServer
from tests.dataflow.doubles.contents import function_of, in_clear, unpacked
from tests.dataflow.doubles.emulators import PROJECT, GcsServer, PubsubServer
from tests.dataflow.doubles.recorder import DataflowRecorder
from tests.dataflow.flights_stream import IMAGE
from tests.dataflow.submission import Submission, create_topics, spec_in, submit
from tests.pipeline.jobs.flows import MANIFEST

# https://cloud.google.com/dataflow/docs/request-quotas: the job request at most 20 MB, the job's graph at most 10 MB.
MOST_REQUEST, MOST_GRAPH = 20_000_000, 10_000_000
SECRET = "a-password-that-nobody-else-has"
DETERMINISTIC = {"beam:coder:varint:v1", "beam:coder:string_utf8:v1", "beam:coder:bytes:v1", "beam:coder:bool:v1"}


@pytest.fixture(scope="module")
def world(gcs_server: GcsServer, pubsub_server: PubsubServer) -> Iterator[DataflowRecorder]:
    """Every service that the launcher asks, and secrets in its environment."""
    recorder, bigquery = DataflowRecorder(), BigqueryServer("flights")
    with pytest.MonkeyPatch.context() as patch:
        for server in (gcs_server, pubsub_server, bigquery):
            for name, value in server.environment.items():
                patch.setenv(name, value)
        patch.setenv("HALFLIFE_MODEL_TOKEN", SECRET)
        create_topics()
        yield recorder
    recorder.stop()
    bigquery.stop()


@pytest.fixture(scope="module")
def bucket(world: DataflowRecorder, gcs_server: GcsServer) -> str:
    return gcs_server.create_bucket("submissions")


@pytest.fixture(scope="module")
def submitted(world: DataflowRecorder, bucket: str) -> Submission:
    made = submit(bucket, world)
    assert made.code == 0
    return made


@pytest.fixture(scope="module")
def steps(submitted: Submission) -> dict[str, beam_runner_api_pb2.PTransform]:
    return {step.unique_name: step for step in submitted.graph.components.transforms.values()}


def test_job_is_a_stream_on_the_streaming_engine(submitted: Submission) -> None:
    assert submitted.job.type_ == JobType.JOB_TYPE_STREAMING
    assert submitted.job.name == "halflife-flights"
    experiments = set(submitted.job.environment.experiments)
    assert {"use_runner_v2", "enable_streaming_engine", "enable_windmill_service"} <= experiments
    assert "streaming_mode_at_least_once" not in experiments


def test_workers_run_the_image_and_nothing_else_is_staged(submitted: Submission) -> None:
    (pool,) = submitted.job.environment.worker_pools
    assert (pool.worker_harness_container_image, pool.machine_type) == (IMAGE, "n2-highmem-4")
    assert {image.container_image for image in pool.sdk_harness_container_images} == {IMAGE}
    assert list(pool.packages) == []
    assert [name.rpartition("/")[2] for name in submitted.files] == ["pipeline.pb"]


def test_messages_are_read_and_written_by_the_service_itself(
    steps: dict[str, beam_runner_api_pb2.PTransform],
) -> None:
    reads = [step for step in steps.values() if step.spec.urn == common_urns.composites.PUBSUB_READ.urn]
    (read,) = [beam_runner_api_pb2.PubSubReadPayload.FromString(step.spec.payload) for step in reads]
    assert read.subscription == f"projects/{PROJECT}/subscriptions/departures"
    assert (read.timestamp_attribute, read.id_attribute, read.with_attributes) == ("departed_at", "id", True)
    writes = [step for step in steps.values() if step.spec.urn == common_urns.composites.PUBSUB_WRITE.urn]
    (write,) = [beam_runner_api_pb2.PubSubWritePayload.FromString(step.spec.payload) for step in writes]
    assert write.topic == f"projects/{PROJECT}/topics/refused"


def test_timeline_waits_with_the_events_in_keyed_state(submitted: Submission) -> None:
    holding = graph_of(submitted.graph)
    following = holding["ScoreEvents/Score/ParDo(_FollowFn)"]
    assert following.inputs[0].startswith("kv(varint, ")
    assert set(following.holds) == {"state releases", "state waiting"}


def test_keys_of_state_and_groups_are_coded_deterministically(
    submitted: Submission, steps: dict[str, beam_runner_api_pb2.PTransform]
) -> None:
    parts = submitted.graph.components
    holding = [name for name in graph_of(submitted.graph) if steps[name].inputs]
    coders = {}
    for name in holding:
        pair = parts.coders[parts.pcollections[next(iter(steps[name].inputs.values()))].coder_id]
        key = parts.coders[pair.component_coder_ids[0]]
        inner = [parts.coders[one].spec.urn for one in key.component_coder_ids]
        coders[name] = set(inner) or {key.spec.urn}
    assert len(coders) >= 6
    assert {name: urns for name, urns in coders.items() if not urns <= DETERMINISTIC} == {}


def test_windows_are_global_but_for_drift_which_has_the_specs_day(submitted: Submission) -> None:
    strategies = submitted.graph.components.windowing_strategies.values()
    fixed = [one for one in strategies if one.window_fn.urn == common_urns.fixed_windows.urn]
    assert {one.window_fn.urn for one in strategies} == {common_urns.fixed_windows.urn, common_urns.global_windows.urn}
    assert {one.allowed_lateness for one in fixed} == {2 * 60 * 60 * 1000}


def test_request_and_graph_are_far_below_the_limits(submitted: Submission) -> None:
    (body,) = submitted.bodies
    assert 1_000 < len(body) < MOST_REQUEST / 100
    assert 10_000 < submitted.graph.ByteSize() < MOST_GRAPH / 10


def test_no_secret_leaves_the_launcher(submitted: Submission, gcs_server: GcsServer) -> None:
    key, token = gcs_server.secrets
    secrets = [SECRET, token, "PRIVATE KEY", *key.splitlines()[1:3]]
    everything = b"\0".join(map(in_clear, submitted.sent))
    assert [secret for secret in secrets if secret.encode() in everything] == []


def test_no_path_of_this_machine_leaves_the_launcher(submitted: Submission) -> None:
    (graph,) = submitted.files.values()
    assert len(unpacked(graph)) >= 40
    local = rb"file://[^\s\x00]{0,60}|(?<![\w/])/(?:tmp|root|home|work)/[^\s\x00]{0,120}"
    found = {path.decode(errors="replace") for path in re.findall(local, in_clear(graph))}
    # Functions of Beam's own that it pickles by value carry the name of their source file.
    assert {path for path in found if "/apache_beam/" not in path} == set()


def test_pickled_functions_are_searched_too() -> None:
    pipeline = beam.Pipeline()
    _ = pipeline | beam.Create([1]) | beam.Map(lambda one, bucket="/tmp/of-this-machine": (one, bucket))
    sent = pipeline.to_runner_api().SerializeToString()
    assert b"/tmp/of-this-machine" not in sent
    assert b"/tmp/of-this-machine" in in_clear(sent)


def test_service_that_refuses_is_reported_in_one_line(
    world: DataflowRecorder, bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(world, "refuse_with", "The workflow could not be created: quota")
    assert submit(bucket, world).code == 1
    said = capsys.readouterr().err.splitlines()
    ours = [line for line in said if line.startswith("halflife: ")]
    assert ours[1:] == [said[-1]]
    assert "has no version in" in ours[0]  # of a stream, which waits
    assert "The workflow could not be created: quota" in said[-1]


def test_classic_template_is_left_in_the_bucket_and_nothing_is_submitted(
    world: DataflowRecorder, gcs_server: GcsServer, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = gcs_server.create_bucket("templates")
    made = submit(bucket, world, f"--template_location={bucket}/templates/flights")
    assert (made.code, made.bodies) == (0, [])
    assert capsys.readouterr().out == f"job flights: staged at {bucket}/templates/flights\n"
    template: Job = Job.from_json(made.files[f"{bucket}/templates/flights"], ignore_unknown_fields=False)
    assert template.type_ == JobType.JOB_TYPE_STREAMING
    options = dict(template.environment.sdk_pipeline_options["options"])
    assert options["pipelineUrl"] in made.files


def test_a_template_cannot_replace_what_its_runs_would(
    world: DataflowRecorder, gcs_server: GcsServer, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = gcs_server.create_bucket("replacing")
    made = submit(bucket, world, f"--template_location={bucket}/templates/flights", "--sinks=replace")
    assert (made.code, made.bodies) == (2, [])
    assert "--sinks: 'replace' is not allowed; expected: append or new for a template" in capsys.readouterr().err


@pytest.fixture(scope="module")
def labels_in(world: DataflowRecorder, gcs_server: GcsServer) -> str:
    """A bucket with a file of labels."""
    bucket = gcs_server.create_bucket("labelled")
    with FileSystems.create(f"{bucket}/arrivals.json") as stream:
        stream.write(b'{"id": "e1", "landed_at": "2013-01-01T10:00:00Z", "arr_delay": 20.0}\n')
    return bucket


def labelled(bucket: str, **stated: str) -> dict[str, Any]:
    labels = {"uri": f"{bucket}/arrivals.json", "format": "json", "event_id": "id", "event_time": "landed_at"}
    spec = spec_in(bucket)
    spec["sinks"]["quality"] = f"{bucket}/quality"
    return {**spec, "labels": {**labels, "column": "arr_delay", "positive": "> 15", **stated}}


def test_labels_and_what_a_launcher_sets_of_them_are_in_the_graph(world: DataflowRecorder, labels_in: str) -> None:
    made = submit(labels_in, world, "--settings={labels.horizon: 36h}", spec=labelled(labels_in, horizon="24h"))
    assert made.code == 0
    steps = {step.unique_name: step for step in made.graph.components.transforms.values()}
    assert {"ReadLabels", "DecodeLabels", "MeasureQuality/Arrive"} <= set(steps)
    assert function_of(steps, "MeasureQuality/Arrive")._schedule.horizon_us == 36 * 3_600_000_000
    assert f"{labels_in}/arrivals.json".encode() in b"".join(map(in_clear, made.sent))


@pytest.mark.parametrize(
    ("stated", "says"),
    [
        ({}, "labels.horizon: missing; expected: a duration, such as 30d"),
        ({"horizon": "1h", "column": "delay"}, "labels.column: 'delay' is not allowed"),
        ({"horizon": "1h", "uri": "pubsub://p/arrivals"}, "labels.uri: 'pubsub://p/arrivals' is not allowed"),
    ],
    ids=["no horizon", "no column", "messages"],
)
def test_labels_that_do_not_fit_stop_at_the_launcher(
    world: DataflowRecorder, labels_in: str, stated: dict[str, str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = submit(labels_in, world, spec=labelled(labels_in, **stated))
    assert (made.code, made.bodies) == (2, [])
    assert says in capsys.readouterr().err


def test_bounded_events_are_a_batch_job(world: DataflowRecorder, gcs_server: GcsServer, tmp_path: Path) -> None:
    bucket = gcs_server.create_bucket("batches")
    spec = spec_in(bucket)
    spec["events"]["uri"] = f"{bucket}/flights.yaml"  # any file: it is read by the workers
    model = spec["model"]
    ModelStore(model["store"], model["name"]).publish(tmp_path, {**MANIFEST, "version": "v1"})
    made = submit(bucket, world, spec=spec)
    assert (made.code, made.job.type_) == (0, JobType.JOB_TYPE_BATCH)
