"""Everything of a job in a bucket: spec, events, models and records, on a GCS server (`fake-gcs-server`, in memory).

Beam's files go by Google's client, the model store by obstore, both signed in with a key. The server has no IAM.
"""

import gzip
import io
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fastavro
import pytest
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from google.cloud.storage import Client

from models.errors import StoreError
from models.store.store import ModelStore
from tests.dataflow.doubles.emulators import GcsServer
from tests.pipeline.commands.commands import Models
from tests.pipeline.jobs.flows import Flow, container, json_lines, trips


@pytest.fixture
def bucket(gcs: GcsServer) -> str:
    return gcs.create_bucket(f"halflife-{uuid.uuid4().hex[:8]}")


class BucketFlow(Flow):
    """A flow whose store is in a bucket."""

    bucket: str

    @property
    def store(self) -> ModelStore:
        return ModelStore(f"{self.bucket}/models", "trips")


@pytest.fixture
def flow(bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> BucketFlow:
    made = BucketFlow(tmp_path, capsys)
    made.bucket = bucket
    return made


def put(path: str, content: bytes) -> None:
    with FileSystems.create(path) as stream:
        stream.write(content)


def records(folder: str) -> list[Any]:
    found = []
    for metadata in FileSystems.match([f"{folder}/**"])[0].metadata_list:
        assert not metadata.path.endswith(".partial")
        with FileSystems.open(metadata.path) as stream:
            found += list(fastavro.reader(io.BytesIO(stream.read())))
    return found


def test_job_that_has_everything_in_a_bucket_scores_every_event_once(bucket: str, flow: BucketFlow) -> None:
    flow.publish()
    for number in range(2):
        put(f"{bucket}/in/{number}.avro", container(trips(20, first=20 * number)))
    spec = flow.spec("avro", uri=f"{bucket}/in/*.avro")
    spec["model"]["store"] = f"{bucket}/models"
    spec["sinks"] = {name: f"{bucket}/out/{name}" for name in ("scores", "audit", "drift", "dead_letters")}
    outcome = flow.run(spec)
    assert (outcome.code, outcome.summary["scored"], outcome.summary["receipts"]) == (0, 40, 40)
    scores = records(f"{bucket}/out/scores")
    assert sorted(score["event_id"] for score in scores) == sorted(f"t{number}" for number in range(40))
    receipts = records(f"{bucket}/out/audit/receipts")
    assert {receipt["score_id"] for receipt in receipts} == {score["score_id"] for score in scores}
    assert {event["kind"] for event in records(f"{bucket}/out/audit/models")} >= {"admitted", "released", "loaded"}


@pytest.mark.parametrize("pattern", ["in", "in/", "in/*", "in/**"])
def test_compressed_file_in_a_bucket_is_read_to_the_damage(bucket: str, flow: BucketFlow, pattern: str) -> None:
    flow.publish()
    whole = [gzip.compress(json_lines(trips(20, first=first))) for first in (0, 40)]
    content = {"a.json.gz": whole[0] + b"left over" + whole[1] + bytes(64), ".b.json": b"no", "c.json.partial": b"no"}
    for name, stored in content.items():
        with FileSystems.create(f"{bucket}/in/{name}", compression_type=CompressionTypes.UNCOMPRESSED) as stream:
            stream.write(stored)
    spec = flow.spec(uri=f"{bucket}/{pattern}")
    spec["model"]["store"] = f"{bucket}/models"
    spec["sinks"] = {"dead_letters": f"{bucket}/out/dead_letters"}
    outcome = flow.run(spec)
    assert (outcome.code, outcome.summary["scored"]) == (0, 40), outcome.err
    (letter,) = records(f"{bucket}/out/dead_letters")
    assert (letter["payload"], f"in/a.json.gz@{len(whole[0])}" in letter["detail"]) == (b"left over", True)


@pytest.mark.parametrize("format_name", ["avro", "parquet"])
def test_a_rerun_replaces_its_files_in_a_bucket_and_leaves_the_audit(
    bucket: str, flow: BucketFlow, format_name: str
) -> None:
    flow.publish()
    put(f"{bucket}/in/0.avro", container(trips(20)))
    put(f"{bucket}/out/scores/mine.{format_name}", b"no run wrote this")
    spec = flow.spec("avro", uri=f"{bucket}/in/*.avro")
    spec["model"]["store"] = f"{bucket}/models"
    spec["sinks"] = {"format": format_name, "scores": f"{bucket}/out/scores", "audit": f"{bucket}/out/audit"}
    first, second = (flow.run(spec, "--sinks", "replace") for _ in range(2))
    assert (first.code, second.code) == (0, 0)
    names = [found.path.rpartition("/")[2] for found in FileSystems.match([f"{bucket}/out/scores/*"])[0].metadata_list]
    assert [second.summary["run"] in name for name in sorted(names)] == [False, True]
    assert {receipt["run"] for receipt in records(f"{bucket}/out/audit/receipts")} == {
        first.summary["run"], second.summary["run"]
    }  # fmt: skip
    assert flow.run(spec, "--sinks", "new").code == 1


def test_store_lists_only_what_is_new_and_reads_back_what_was_published(bucket: str, flow: BucketFlow) -> None:
    flow.publish("v1")
    flow.publish("v2", intercept=2.0)
    assert flow.store.versions() == ["v1", "v2"]
    assert [release.sequence for release in flow.store.releases(after=1)] == [2]
    assert flow.store.read_manifest("v2").version == "v2"


@pytest.mark.parametrize("folder", ["releases", "versions", "versions/v1", "access"])
@pytest.mark.parametrize("name", ["a\nb", "zz\r.json", "in\nside/x"])
def test_key_that_no_store_can_have_is_reported_and_stops_no_verb(
    bucket: str, flow: BucketFlow, folder: str, name: str
) -> None:
    flow.publish("v1")
    flow.publish("v2", intercept=2.0)
    Client().bucket(bucket.removeprefix("gs://")).blob(f"models/trips/{folder}/{name}").upload_from_string(b"{}")
    models = Models(f"{bucket}/models", "trips")
    assert models("rollback", "--json").code == 0
    verb = {"releases": "timeline", "access": "access"}.get(folder, "list")
    told = [each.get("key") for each in models(verb, "--json").json["broken"]]
    assert f"trips/{folder}/{ascii(name)[1:-1]}" in told
    assert [each["version"] for each in models.json("list")["versions"]] == ["v1", "v2"]
    assert [each["sequence"] for each in models.json("timeline")["releases"]] == [1, 2, 3]
    assert flow.store.models() == ["trips"]


def test_of_racing_writers_of_one_release_exactly_one_wins(bucket: str, flow: BucketFlow) -> None:
    flow.publish()

    def release(number: int) -> int:
        return flow.store.append_release(champion="v1", effective_from_us=number, by=f"racer{number}").sequence

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(release, range(24))) == list(range(2, 26))


def test_bucket_that_is_not_there_is_named_in_one_line(gcs: GcsServer, flow: BucketFlow) -> None:
    spec = flow.spec("avro", uri="gs://no-such-bucket/in/*.avro")
    outcome = flow.run(spec)
    assert outcome.code == 1
    assert outcome.err.startswith("halflife: ")
    assert "gs://no-such-bucket/in/*.avro" in outcome.err
    assert outcome.err.count("\n") == 1


def test_store_in_a_bucket_that_is_not_there_says_so(gcs: GcsServer) -> None:
    with pytest.raises(StoreError, match="gs://no-such-bucket/models"):
        ModelStore("gs://no-such-bucket/models", "trips").releases()
