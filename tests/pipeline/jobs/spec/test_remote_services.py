"""Names that no bucket can have, and services that never answer, end in an error of one line within seconds."""

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeline.spec import remote
from tests.pipeline.commands.commands import halflife
from tests.pipeline.jobs.flows import Flow, json_lines, said_nothing_of_python, trips

URIS: list[tuple[str, str, Callable[[dict[str, Any], str], None]]] = [
    ("sinks.scores", "s3://${BUCKET}/x", lambda spec, uri: spec["sinks"].update(scores=uri)),
    ("sinks.audit", "gs://a-${B}/x", lambda spec, uri: spec["sinks"].update(audit=uri)),
    ("events.uri", "s3://${BUCKET}/in.json", lambda spec, uri: spec["events"].update(uri=uri)),
    ("model.store", "s3://${BUCKET}", lambda spec, uri: spec["model"].update(store=uri)),
    ("model.store", "az://${BUCKET/x", lambda spec, uri: spec["model"].update(store=uri)),
]


@pytest.mark.parametrize(("spec_path", "uri", "change"), URIS, ids=[uri for _, uri, _ in URIS])
def test_variable_in_the_name_of_a_bucket_is_refused(
    flow: Flow, spec_path: str, uri: str, change: Callable[[dict[str, Any], str], None]
) -> None:
    flow.feed(json_lines(trips(3)))
    spec = flow.spec()
    change(spec, uri)
    outcome = flow.run(spec)
    assert (outcome.code, said_nothing_of_python(outcome)) == (2, True)
    assert f"{spec_path}: '{uri}' is not allowed; expected: a bucket's own name" in outcome.err


def test_variable_in_the_bucket_of_a_job_file_is_refused(flow: Flow) -> None:
    ran = halflife("run", "--job", "s3://${BUCKET}/x.yaml")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "--job: 's3://${BUCKET}/x.yaml' is not allowed; expected: a bucket's own name" in ran.err


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 endpoint that takes connections and never answers."""
    monkeypatch.setattr(remote, "_ANSWER_SECONDS", 1.0)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    remote._wait.cache_clear()
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"--s3_endpoint_url=http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("named", ["--job", "sinks", "events"])
def test_service_that_does_not_answer_is_named(flow: Flow, silent: str, named: str) -> None:
    flow.feed(json_lines(trips(3)))
    spec = flow.spec()
    words = {
        "--job": ["--job", "s3://nobucket/x.yaml"],
        "sinks": ["--set", "sinks.scores=s3://nobucket/x"],
        "events": ["--set", "events.uri=s3://nobucket/in.json", "--set", "events.columns={delay: number}"],
    }
    began = time.monotonic()
    outcome = flow.run(spec, *words[named], "--s3_region_name=us-east-1", silent)
    assert time.monotonic() - began < 10
    assert (outcome.code, said_nothing_of_python(outcome)) == (2 if named == "--job" else 1, True)
    assert "s3://nobucket did not answer within 1 s: it cannot be reached from here" in outcome.err


@pytest.mark.parametrize("uri", ["http://foo/x.yaml", "kafka://h:1/t", "ftp://foo/x.yaml"])
def test_job_file_of_a_scheme_that_is_not_read_names_those_that_are(uri: str) -> None:
    ran = halflife("run", "--job", uri)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    said = f"--job: '{uri}' is not allowed; expected: a path or a URI with one of the schemes file, gs, s3, az, hdfs"
    assert said in ran.err
