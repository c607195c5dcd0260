"""A gRPC server of the Open Inference Protocol that fails as told."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from models.scorers import PartlyScored
from models.scorers.remote.calls import Pace
from models.scorers.remote.messages import messages
from models.scorers.remote.protocols.openinference import OpenInferenceScorer
from models.scorers.remote.scorer import RemoteScorer
from tests.remote.manifests import BASE, batch, errors_of, paced
from tests.remote.servers.doubles import Turned

Code = grpc.StatusCode


class Scripted(grpc.GenericRpcHandler):
    """Open Inference over gRPC whose answers a test gives."""

    def __init__(self) -> None:
        self.made = messages("openinference")
        self.infers: list[Any] = []
        self.metadata: list[dict[str, str]] = []
        self.url = ""
        self.infer: Callable[[Any, Any], Any] = self.right

    def right(self, request: Any, context: Any) -> Any:
        """The weekend flag halved, raw as Triton sends it."""
        features = np.array(request.inputs[0].contents.fp64_contents).reshape(-1, 3)
        return self.answer(features[:, 2] / 2)

    def answer(self, scores: Any, version: str = "v1", datatype: str = "FP64", shape: Any = None) -> Any:
        """An answer with raw contents."""
        raw = np.asarray(scores, dtype="<f8").tobytes()
        output = self.made["InferOutputTensor"](name="score", datatype=datatype, shape=shape or [len(scores)])
        return self.made["ModelInferResponse"](
            model_name="late", model_version=version, outputs=[output], raw_output_contents=[raw]
        )

    def service(self, details: Any) -> Any:
        method = details.method.rsplit("/", 1)[-1]
        self.metadata.append({key: value for key, value in details.invocation_metadata if isinstance(value, str)})

        def run(raw: bytes, context: Any) -> bytes:
            request = self.made[f"{method}Request"].FromString(raw)
            if method == "ModelInfer":
                self.infers.append(request)
                answer = self.infer(request, context)
            else:
                answer = self.made[f"{method}Response"](**({"ready": True} if method == "ModelReady" else {}))
            return answer if isinstance(answer, bytes) else answer.SerializeToString()

        return grpc.unary_unary_rpc_method_handler(run)


@pytest.fixture
def rpc() -> Iterator[Scripted]:
    """The scripted server; `url` on it is where it is."""
    server, handler = grpc.server(ThreadPoolExecutor(4)), Scripted()
    server.add_generic_rpc_handlers((handler,))
    handler.url = f"grpc://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield handler
    server.stop(None).wait()


def against(rpc: Any, folder: Path, pace: Pace | None = None, **more: Any) -> RemoteScorer:
    parameters = {**BASE, "output": "score", "url": rpc.url, "deadline_s": 10, **more}
    return paced(OpenInferenceScorer, folder, parameters, pace or Turned().pace())


@pytest.mark.parametrize(
    ("code", "said", "error", "sent"),
    [
        (Code.UNAVAILABLE, "down", "ServerUnavailable", 7),
        (Code.DEADLINE_EXCEEDED, "late", "ServerUnavailable", 7),
        (Code.RESOURCE_EXHAUSTED, "quota", "ServerUnavailable", 7),
        (Code.UNAUTHENTICATED, "who", "RequestRefused", 1),
        (Code.UNIMPLEMENTED, "what", "RequestRefused", 1),
        (Code.INVALID_ARGUMENT, "bad", "RecordsRefused", 7),
        (Code.RESOURCE_EXHAUSTED, "SERVER: Received message larger than max", "RecordsRefused", 7),
        (Code.INTERNAL, "broke", "ServerFailed", 9),
    ],
)
def test_status_codes_are_told_apart(
    code: grpc.StatusCode, said: str, error: str, sent: int, rpc: Scripted, tmp_path: Path
) -> None:
    rpc.infer = lambda request, context: context.abort(code, said)
    assert errors_of(against(rpc, tmp_path), 4) == {error}
    assert len(rpc.infers) == sent


def test_a_pause_requested_by_the_server_is_respected(rpc: Scripted, turned: Turned, tmp_path: Path) -> None:
    def busy_once(request: Any, context: Any) -> Any:
        if len(rpc.infers) == 1:
            context.set_trailing_metadata((("grpc-retry-pushback-ms", "2500"),))
            context.abort(Code.UNAVAILABLE, "busy")
        return rpc.right(request, context)

    rpc.infer = busy_once
    assert len(against(rpc, tmp_path, turned.pace(), deadline_s=30).score(batch(4))) == 4
    assert turned.pauses == [2.5]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": "v2"}, "version 'v2' answered; expected: 'v1'"),
        ({"scores": [0.1, 0.2]}, r"shape \(2,\); expected: \(4,\)"),
        ({"shape": [2**40, 2**40]}, "4 values; expected: those of shape"),
        ({"shape": [-4]}, r"shape \[-4\]"),
        ({"datatype": "INT8"}, "32 values; expected: those of shape"),
        ({"datatype": "BYTES"}, "datatype BYTES"),
    ],
)
def test_a_wrong_answer_names_what_is_wrong(
    change: dict[str, Any], said: str, rpc: Scripted, tmp_path: Path
) -> None:
    rpc.infer = lambda request, context: rpc.answer(**{"scores": [0.1, 0.2, 0.3, 0.4], **change})
    with pytest.raises(PartlyScored, match=f"answer malformed: .*{said}"):
        against(rpc, tmp_path).score(batch(4))


@pytest.mark.parametrize(
    ("raw", "said"), [(b"\xff\xff\xff", "cannot be read; expected: a"), (b"\x0a" + b"x" * 5000, "larger than max")]
)
def test_an_answer_that_is_no_message_or_too_large(raw: bytes, said: str, rpc: Scripted, tmp_path: Path) -> None:
    rpc.infer = lambda request, context: raw
    with pytest.raises(PartlyScored, match=f"answer malformed: .*{said}"):
        against(rpc, tmp_path, max_answer_bytes=4096).score(batch(4))
    assert len(rpc.infers) == 1


def test_raw_contents_are_read(rpc: Scripted, tmp_path: Path) -> None:
    scores = against(rpc, tmp_path).score(batch(8))
    np.testing.assert_array_equal(scores, [row["weekend"] / 2 for row in batch(8).to_pylist()])


def test_an_unpinned_version_may_not_change(rpc: Scripted, tmp_path: Path) -> None:
    rpc.infer = lambda request, context: rpc.answer([0.5], version=f"v{len(rpc.infers)}")
    parameters = {key: value for key, value in BASE.items() if key != "version"} | {"output": "score"}
    scorer = paced(OpenInferenceScorer, tmp_path, {**parameters, "url": rpc.url}, Turned().pace())
    np.testing.assert_array_equal(scorer.score(batch(1)), [0.5])
    with pytest.raises(PartlyScored, match="version 'v2' answered; expected: 'v1'"):
        scorer.score(batch(1))


def test_a_secret_goes_into_the_metadata_and_nowhere_else(
    rpc: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALFLIFE_REMOTE_SECRET_LATE", "Bearer hunter2")
    rpc.infer = lambda request, context: context.abort(Code.UNAUTHENTICATED, "you sent Bearer hunter2")
    scorer = against(rpc, tmp_path, headers={"Authorization": "HALFLIFE_REMOTE_SECRET_LATE"})
    with pytest.raises(PartlyScored) as caught:
        scorer.score(batch(1))
    assert rpc.metadata[-1]["authorization"] == "Bearer hunter2"
    assert "hunter2" not in str(caught.value)
