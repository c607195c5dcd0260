"""SageMaker endpoints through boto3: against moto's server, and one that computes and fails as the API does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

import numpy as np
import pytest

from models.bundles.manifest import InvalidManifest, Manifest
from models.scorers import PartlyScored, Scorer, WillNotLoad
from models.scorers.remote.protocols.sagemaker import SagemakerScorer
from models.testing import Sample, contract_tests
from tests.models.bundle_folders import INPUTS, NUMBERS, flights
from tests.remote.manifests import batch, loaded, manifest, paced
from tests.remote.servers.doubles import Reply, Request, ScriptedServer, Turned

URL = "sagemaker://us-east-1/late"
ENDPOINT = "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """The URL of moto's server."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def queue(moto: str, body: str, variant: str = "blue") -> None:
    """The next new request is answered so; an earlier request keeps its answer, as moto does it."""
    result = {"Body": body, "ContentType": "text/csv", "InvokedProductionVariant": variant}
    address = f"{moto}/moto-api/static/sagemaker/endpoint-results"
    data = json.dumps({"region": "us-east-1", "results": [result]}).encode()
    with urlopen(HttpRequest(address, data, {"Content-Type": "application/json"}), timeout=10) as answer:
        assert answer.status == 201


def through_moto(moto: str, monkeypatch: pytest.MonkeyPatch, folder: Path, **more: Any) -> Scorer:
    monkeypatch.setenv(ENDPOINT, moto)
    return loaded(folder, "sagemaker", {"url": URL, **more})


@pytest.mark.parametrize(
    ("rows", "body"), [(3, "0.25,0.5,0.75"), (4, "0.25\n0.5\n0.75\n0.125\n"), (5, "1,0\n1,0\n1,0\n0,1\n0.5,0.5")]
)
def test_csv_through_moto(
    rows: int, body: str, moto: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    queue(moto, body)
    scores = through_moto(moto, monkeypatch, tmp_path).score(batch(rows))
    wanted = {3: [0.25, 0.5, 0.75], 4: [0.25, 0.5, 0.75, 0.125], 5: [0, 0, 0, 1, 0.5]}[rows]
    np.testing.assert_array_equal(scores, wanted)


def test_json_through_moto(moto: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    queue(moto, '{"predictions": [[0.25], [0.5]]}')
    scores = through_moto(moto, monkeypatch, tmp_path, format="json").score(batch(2))
    np.testing.assert_array_equal(scores, [0.25, 0.5])


def test_predictions_that_are_objects_are_read_by_name(
    moto: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    queue(moto, '{"predictions": [{"score": 0.375, "label": 0}]}')
    scorer = through_moto(moto, monkeypatch, tmp_path, format="json", output="score")
    np.testing.assert_array_equal(scorer.score(batch(1)), [0.375])


def test_another_variant_may_not_answer(moto: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    queue(moto, "0.5,0.5,0.5,0.5,0.5,0.5", variant="green")
    with pytest.raises(PartlyScored, match="answer malformed: variant 'green' answered; expected: 'blue'"):
        through_moto(moto, monkeypatch, tmp_path, variant="blue").score(batch(6))


def test_an_answer_that_is_no_numbers_says_so(moto: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(PartlyScored, match="answer malformed: the answer is b'body'; expected: numbers with commas"):
        through_moto(moto, monkeypatch, tmp_path).score(batch(7))  # what moto answers where nothing is queued


def container(request: Request) -> Reply:
    """An endpoint whose model is the logistic function of the delay over 20."""
    lines = request.body.decode().split("\n")
    delays = np.array([float(line.split(",")[0]) for line in lines])
    scores = 1 / (1 + np.exp(-delays / 20))
    return Reply(",".join(map(repr, scores.tolist())).encode(), headers={"Content-Type": "text/csv"})


def error(code: str, status: int, **fields: Any) -> Reply:
    """As the runtime API reports an error."""
    body = json.dumps({"message": "because", "Message": "because", **fields}).encode()
    return Reply(body, status, {"x-amzn-ErrorType": code, "Content-Type": "application/json"})


@pytest.fixture
def endpoint(scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> ScriptedServer:
    """The runtime API of SageMaker, with a container that computes."""
    scripted.answer = container
    monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{scripted.port}")
    return scripted


def test_requests_are_signed_and_carry_lines_of_numbers(endpoint: ScriptedServer, tmp_path: Path) -> None:
    scores = loaded(tmp_path, "sagemaker", {"url": URL, "variant": "blue"}).score(batch(2))
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-batch(2).column("delay").to_numpy() / 20)))
    [request] = endpoint.requests
    assert request.path == "/endpoints/late/invocations"
    assert request.headers["Authorization"].startswith("AWS4-HMAC-SHA256 ")
    assert request.headers["X-Amzn-SageMaker-Target-Variant"] == "blue"
    assert len(request.body.decode().split("\n")) == 2


@pytest.mark.parametrize(
    ("reply", "name"),
    [
        (error("ValidationError", 400), "RequestRefused"),
        (error("AccessDeniedException", 403), "RequestRefused"),
        (error("ModelError", 424, OriginalStatusCode=404), "RequestRefused"),
        (error("ModelError", 424, OriginalStatusCode=503), "ServerUnavailable"),
        (error("ThrottlingException", 400), "ServerUnavailable"),
        (error("ModelNotReadyException", 429), "ServerUnavailable"),
        (error("ServiceUnavailable", 503), "ServerUnavailable"),
        (error("InternalFailure", 500), "ServerFailed"),
        (Reply(b"x" * 5000), "AnswerMalformed"),
    ],
)
def test_errors_of_the_api_are_told_apart(
    reply: Reply, name: str, endpoint: ScriptedServer, turned: Turned, tmp_path: Path
) -> None:
    endpoint.answer = lambda request: reply
    parameters = {"url": URL, "deadline_s": 10, "max_answer_bytes": 4096}
    with pytest.raises(PartlyScored) as caught:
        paced(SagemakerScorer, tmp_path, parameters, turned.pace()).score(batch(1))
    [(error_name, detail)] = caught.value.failures.values()
    assert (error_name, "\n" in detail) == (name, False)


def test_a_record_that_the_container_refuses_costs_one_failure(endpoint: ScriptedServer, tmp_path: Path) -> None:
    poison = repr(batch(64).column("delay")[40].as_py()).encode()
    refusal = error("ModelError", 424, OriginalStatusCode=400, OriginalMessage="poison")
    endpoint.answer = lambda request: refusal if poison in request.body else container(request)
    with pytest.raises(PartlyScored) as caught:
        loaded(tmp_path, "sagemaker", {"url": URL}).score(batch(64))
    assert {row: name for row, (name, _) in caught.value.failures.items()} == {40: "RecordsRefused"}


def test_a_throttled_endpoint_is_asked_again(endpoint: ScriptedServer, turned: Turned, tmp_path: Path) -> None:
    replies = iter([error("ThrottlingException", 400)] * 2)
    endpoint.answer = lambda request: next(replies, None) or container(request)
    assert len(paced(SagemakerScorer, tmp_path, {"url": URL}, turned.pace()).score(batch(3))) == 3
    assert turned.pauses == pytest.approx([0.1, 0.2])


def test_no_server_at_the_endpoint_is_unavailable(endpoint: ScriptedServer, turned: Turned, tmp_path: Path) -> None:
    scorer = paced(SagemakerScorer, tmp_path, {"url": URL, "deadline_s": 10}, turned.pace())
    endpoint.stop()
    with pytest.raises(PartlyScored, match="Could not connect to the endpoint URL"):
        scorer.score(batch(3))


@pytest.mark.parametrize(
    ("change", "refusal", "said"),
    [
        ({"url": "sagemaker://us-east-1/other"}, WillNotLoad, "sagemaker://us-east-1/other may not be asked"),
        ({"url": "sagemaker://us-east-1"}, InvalidManifest, "expected: sagemaker://region/endpoint"),
        ({"model": "late"}, InvalidManifest, "parameters.model: unknown key"),
    ],
)
def test_wrong_parameters_are_named(
    change: dict[str, str], refusal: type[Exception], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "region/endpoint" in said:
        monkeypatch.setenv("HALFLIFE_REMOTE_HOSTS", "sagemaker://us-east-1*")
    with pytest.raises(refusal, match=said):
        loaded(tmp_path, "sagemaker", {"url": URL, **change})


def test_strings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidManifest, match="carrier are strings"):
        loaded(tmp_path, "sagemaker", {"url": URL}, inputs=INPUTS)


@pytest.fixture(scope="module")
def computing() -> Iterator[None]:
    """An endpoint that stays for the contract."""
    server = ScriptedServer(container)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENDPOINT, f"http://127.0.0.1:{server.port}")
        yield
    server.stop()


def sample(folder: Path) -> Sample:
    document = {"inputs": NUMBERS, "output": {"kind": "probability"}, "parameters": {"url": URL}}
    return Sample(document, flights(20).select(["delay", "distance", "weekend"]))


def spoil(folder: Path, made: Manifest) -> Manifest:
    """Without payload a bundle is spoilt by its parameters: an endpoint that may not be asked."""
    return manifest(folder, "sagemaker", {"url": "sagemaker://us-east-1/other"})


test_contract = contract_tests("sagemaker", sample, spoil=spoil, fixtures=("computing",))
