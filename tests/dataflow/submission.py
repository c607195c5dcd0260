"""The flights job submitted by its own command line, to an endpoint that writes it down."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from apache_beam.io.filesystems import FileSystems
from apache_beam.portability.api import beam_runner_api_pb2
from google.cloud.dataflow_v1beta3.types import Job
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

from pipeline.run import run
from runners import dataflow
from tests.dataflow.doubles.emulators import PROJECT
from tests.dataflow.doubles.recorder import DataflowRecorder
from tests.dataflow.flights_stream import IMAGE

SPEC = Path(dataflow.__file__).parent / "flights.yaml"


@dataclass
class Submission:
    """What was asked of Dataflow: the job, its graph, and the files that were left in the bucket by name."""

    code: int
    bodies: list[bytes]
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def job(self) -> Job:
        (body,) = self.bodies
        job: Job = Job.from_json(body, ignore_unknown_fields=False)
        return job

    @property
    def graph(self) -> beam_runner_api_pb2.Pipeline:
        (sent,) = [content for name, content in self.files.items() if name.endswith("/pipeline.pb")]
        proto = beam_runner_api_pb2.Pipeline()
        proto.ParseFromString(sent)
        return proto

    @property
    def sent(self) -> list[bytes]:
        """Everything that left the launcher."""
        return [*self.bodies, *self.files.values()]


def spec_in(bucket: str) -> dict[str, Any]:
    """The job that the README launches, in a bucket of its own."""
    text = SPEC.read_text(encoding="utf-8").replace("my-project", PROJECT).replace("gs://my-bucket", bucket)
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def create_topics() -> None:
    """What the job reads from and writes to."""
    publisher, subscriber = PublisherClient(), SubscriberClient()
    for name in ("departures", "refused"):
        topic = f"projects/{PROJECT}/topics/{name}"
        publisher.create_topic(name=topic)
        subscriber.create_subscription(name=f"projects/{PROJECT}/subscriptions/{name}", topic=topic)


def submit(bucket: str, recorder: DataflowRecorder, *arguments: str, spec: Any = None) -> Submission:
    """Runs the command line that a launcher runs, and collects its results."""
    with FileSystems.create(f"{bucket}/flights.yaml") as stream:
        stream.write(yaml.safe_dump(spec or spec_in(bucket)).encode())
    recorder.submitted.clear()
    code = run([*command(bucket), f"--dataflow_endpoint={recorder.url}", *arguments], "launcher")
    found = FileSystems.match([f"{bucket}/**"])[0].metadata_list
    names = [metadata.path for metadata in found if not metadata.path.endswith("/flights.yaml")]
    return Submission(code, list(recorder.submitted), {name: _read(name) for name in names})


def command(bucket: str) -> Sequence[str]:
    return (
        f"--job={bucket}/flights.yaml", "--runner=DataflowRunner", f"--project={PROJECT}", "--region=europe-west1",
        f"--temp_location={bucket}/tmp", f"--staging_location={bucket}/st", f"--sdk_container_image={IMAGE}",
    )  # fmt: skip


def _read(path: str) -> bytes:
    with FileSystems.open(path) as stream:
        return bytes(stream.read())
