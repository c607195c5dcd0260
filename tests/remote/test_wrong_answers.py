"""A scripted TensorFlow Serving REST server that answers wrongly, slowly, or not at all."""

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.scorers import NotReady, PartlyScored, Scorer, WillNotLoad
from models.scorers.remote.protocols.tfserving import TfservingScorer
from tests.remote.manifests import batch, loaded, paced
from tests.remote.servers.doubles import Reply, Request, ScriptedServer, Turned

# A pause beyond any deadline: given up at once.
DOWN = Reply(b"", 503, {"Retry-After": "3600"})
AVAILABLE = json.dumps({"model_version_status": [{"version": "3", "state": "AVAILABLE"}]}).encode()


def rows_of(request: Request) -> list[list[float]]:
    """The matrix that a request carries."""
    matrix: list[list[float]] = json.loads(request.body)["inputs"]["features"]
    return matrix


def outputs(values: object) -> Reply:
    return Reply(json.dumps({"outputs": values}).encode())


def right(request: Request) -> Reply:
    """A model: the weekend flag halved."""
    return outputs([[row[2] / 2] for row in rows_of(request)])


def serving(scripted: ScriptedServer, predict: Callable[[Request], Reply], **more: Any) -> dict[str, Any]:
    """Parameters for the scripted server, which answers predictions by `predict`."""
    scripted.answer = lambda request: predict(request) if request.method == "POST" else Reply(AVAILABLE)
    url = f"http://127.0.0.1:{scripted.port}"
    return {"url": url, "model": "late", "version": "3", "input": "features", **more}


def failures_of(scorer: Scorer, rows: int = 4) -> list[tuple[str, str]]:
    with pytest.raises(PartlyScored) as caught:
        scorer.score(batch(rows))
    assert len(caught.value.scores) == rows
    return [caught.value.failures[row] for row in sorted(caught.value.failures)]


def test_the_request_is_the_documented_one(scripted: ScriptedServer, tmp_path: Path) -> None:
    scorer = loaded(tmp_path, "tfserving", serving(scripted, right, signature="late"))
    rows = batch(3)
    np.testing.assert_array_equal(scorer.score(rows), [row["weekend"] / 2 for row in rows.to_pylist()])
    status, predict = scripted.requests
    assert (status.method, status.path) == ("GET", "/v1/models/late/versions/3")
    assert (predict.method, predict.path) == ("POST", "/v1/models/late/versions/3:predict")
    document = json.loads(predict.body)
    assert document["signature_name"] == "late"
    assert np.shape(document["inputs"]["features"]) == (3, 3)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"<html>", "expected: JSON"),
        (b"", "expected: JSON"),
        (b"[" * 100_000, "expected: JSON"),
        (b"{}", "no `outputs`"),
        (b"[1]", "no `outputs`"),
        (b'{"outputs": [[0.1], [0.2], [0.3]]}', r"shape \(3, 1\); expected: \(4,\)"),
        (b'{"outputs": [0.1, 0.2, 0.3, 0.4, 0.5]}', r"shape \(5,\)"),
        (b'{"outputs": 0.1}', "expected: a list of numbers"),
        (b'{"outputs": ["a", "b", "c", "d"]}', "'a'; expected: numbers"),
        (b'{"outputs": [[0.1], [0.2, 0.3], [0.4], [0.5]]}', "not an array of numbers"),
        (b'{"outputs": [[0.1, 0.2, 0.3]]}', r"shape \(1, 3\)"),
        (b'{"outputs": [[1, 2, 3], [1, 2, 3], [1, 2, 3], [1, 2, 3]]}', "3 values per record"),
        (b'{"outputs": {"a": [1, 1, 1, 1], "b": [1, 1, 1, 1]}}', "outputs a, b; expected: exactly one"),
        (b'{"outputs": [' + b"1" * 400 + b", 0, 0, 0]}", "not an array of numbers"),
        (b'{"outputs": [' + b"1" * 5000 + b", 0, 0, 0]}", "expected: JSON"),
        (b'{"outputs": "' + b"x" * 2_000_000 + b'"}', "too large; allowed: at most 1048576"),
    ],
)
def test_a_wrong_answer_names_what_is_wrong(body: bytes, detail: str, scripted: ScriptedServer, tmp_path: Path) -> None:
    scorer = loaded(tmp_path, "tfserving", serving(scripted, lambda request: Reply(body), max_answer_bytes=1048576))
    failures = failures_of(scorer)
    assert len(failures) == 4
    error, said = failures[0]
    assert error == "AnswerMalformed"
    assert re.search(detail, said), said
    assert "\n" not in said
    assert len(scripted.posts) == 1


def test_a_compressed_answer_is_not_unpacked(scripted: ScriptedServer, tmp_path: Path) -> None:
    reply = Reply(b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    scorer = loaded(tmp_path, "tfserving", serving(scripted, lambda request: reply))
    assert failures_of(scorer)[0] == (
        "AnswerMalformed",
        "POST /v1/models/late/versions/3:predict: the answer is compressed; expected: identity, as asked for",
    )


def test_a_redirect_is_not_followed(scripted: ScriptedServer, tmp_path: Path) -> None:
    reply = Reply(b"", 307, {"Location": "http://169.254.169.254/"})
    scorer = loaded(tmp_path, "tfserving", serving(scripted, lambda request: reply))
    assert failures_of(scorer)[0][0] == "RequestRefused"
    assert len(scripted.posts) == 1


def test_nan_is_the_records_own(scripted: ScriptedServer, tmp_path: Path) -> None:
    reply = Reply(b'{"outputs": [0.5, NaN, null, Infinity]}')
    scores = loaded(tmp_path, "tfserving", serving(scripted, lambda request: reply)).score(batch(4))
    np.testing.assert_array_equal(scores, [0.5, np.nan, np.nan, np.inf])


def test_no_probability_outside_its_range_is_a_score(scripted: ScriptedServer, tmp_path: Path) -> None:
    scorer = loaded(tmp_path, "tfserving", serving(scripted, lambda request: outputs([0.1, 1.5, -3, 1])))
    assert failures_of(scorer) == [
        ("NotAProbability", "the server answered 1.5; allowed: 0 to 1"),
        ("NotAProbability", "the server answered -3; allowed: 0 to 1"),
    ]


def test_a_poison_record_costs_one_failure(scripted: ScriptedServer, tmp_path: Path) -> None:
    poison = batch(64).column("distance")[17].as_py()

    def predict(request: Request) -> Reply:
        if any(row[1] == poison for row in rows_of(request)):
            return Reply(b'{"error": "distance is\\npoison"}', 400)
        return right(request)

    scorer = loaded(tmp_path, "tfserving", serving(scripted, predict))
    with pytest.raises(PartlyScored) as caught:
        scorer.score(batch(64))
    line = "POST /v1/models/late/versions/3:predict"
    said = f'{line}: status 400: {{"error": "distance is\\npoison"}}'
    assert caught.value.failures == {17: ("RecordsRefused", said)}
    assert not caught.value.unavailable
    assert np.flatnonzero(np.isnan(caught.value.scores)).tolist() == [17]


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_called_again_after_the_pause_that_it_requests(
    status: int, scripted: ScriptedServer, turned: Turned, tmp_path: Path
) -> None:
    replies = iter([Reply(b"busy", status, {"Retry-After": "3"}), Reply(b"busy", status)])
    parameters = serving(scripted, lambda request: next(replies, None) or right(request))
    scorer = paced(TfservingScorer, tmp_path, parameters, turned.pace())
    assert len(scorer.score(batch(4))) == 4
    assert turned.pauses == [3.0, pytest.approx(0.2)]


def test_a_server_that_stays_down_is_not_asked_for_every_record(
    scripted: ScriptedServer, turned: Turned, tmp_path: Path
) -> None:
    parameters = serving(scripted, lambda request: Reply(b"", 503), max_rows=10, concurrency=1, deadline_s=10)
    scorer = paced(TfservingScorer, tmp_path, parameters, turned.pace())
    failures = failures_of(scorer, 200)
    assert {error for error, _ in failures} == {"ServerUnavailable"}
    assert len(failures) == 200
    assert failures[199][1].startswith("not sent: POST")
    assert len(scripted.posts) == 7  # pauses of 0.1 to 3.2 s; the next would end after the deadline


def test_the_circuit_opens_and_closes(scripted: ScriptedServer, turned: Turned, tmp_path: Path) -> None:
    down = threading.Event()
    down.set()
    circuit = {"failures": 2, "open_s": 60}

    def answer(request: Request) -> Reply:
        return DOWN if down.is_set() else right(request)

    parameters = serving(scripted, answer, circuit=circuit)
    scorer = paced(TfservingScorer, tmp_path, parameters, turned.pace())
    errors = [failures_of(scorer)[0][0] for _ in range(4)]
    assert errors == ["ServerUnavailable", "ServerUnavailable", "CircuitOpen", "CircuitOpen"]
    assert len(scripted.posts) == 2
    down.clear()
    turned.now += 60
    assert len(scorer.score(batch(4))) == 4
    assert len(scorer.score(batch(4))) == 4


def test_a_server_that_fails_on_everything_opens_the_circuit(
    scripted: ScriptedServer, turned: Turned, tmp_path: Path
) -> None:
    scorer = paced(TfservingScorer, tmp_path, serving(scripted, lambda request: Reply(b"", 500)), turned.pace())
    errors = [failures_of(scorer, 64)[0][0] for _ in range(4)]
    assert errors == ["ServerFailed"] * 3 + ["CircuitOpen"]
    assert len(scripted.posts) == 3 * (3 + 2 * 6 + 3)  # three attempts, then halves until 16 were refused
    turned.now += 10
    assert failures_of(scorer, 1)[0][0] == "ServerFailed"
    assert failures_of(scorer, 1)[0][0] == "CircuitOpen"


def test_a_slow_answer_ends_at_the_timeout(scripted: ScriptedServer, turned: Turned, tmp_path: Path) -> None:
    go_on = threading.Event()
    parameters = serving(scripted, lambda request: Reply(b"{}", before=go_on.wait), timeout_s=0.2)
    scorer = paced(TfservingScorer, tmp_path, parameters, turned.pace())
    error, said = failures_of(scorer)[0]
    go_on.set()
    assert (error, "read timeout" in said) == ("ServerUnavailable", True)
    assert len(turned.pauses) > 3


def test_requests_of_a_batch_are_under_way_together_within_the_bound(scripted: ScriptedServer, tmp_path: Path) -> None:
    meet = threading.Barrier(4)
    most, now, lock = [0], [0], threading.Lock()

    def predict(request: Request) -> Reply:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        meet.wait(20)  # passes only when four requests are here at once
        with lock:
            now[0] -= 1
        return right(request)

    scorer = loaded(tmp_path, "tfserving", serving(scripted, predict, max_rows=2, concurrency=4, timeout_s=30))
    rows = batch(40)
    np.testing.assert_array_equal(scorer.score(rows), [row["weekend"] / 2 for row in rows.to_pylist()])
    assert most == [4]
    assert len(scripted.posts) == 20


def test_a_secret_goes_into_the_header_and_nowhere_else(
    scripted: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALFLIFE_REMOTE_SECRET_LATE", "Bearer hunter2")
    headers = {"Authorization": "HALFLIFE_REMOTE_SECRET_LATE"}

    def gossip(request: Request) -> Reply:
        return Reply(f"bad token: {request.headers['Authorization']}".encode(), 401)

    scorer = loaded(tmp_path, "tfserving", serving(scripted, gossip, headers=headers))
    error, said = failures_of(scorer)[0]
    assert scripted.posts[0].headers["Authorization"] == "Bearer hunter2"
    assert error == "RequestRefused"
    assert "status 401: bad token: …" in said
    assert "hunter2" not in said


def test_a_secret_that_is_not_set_will_not_load(scripted: ScriptedServer, tmp_path: Path) -> None:
    headers = {"Authorization": "HALFLIFE_REMOTE_SECRET_ABSENT"}
    with pytest.raises(WillNotLoad, match="HALFLIFE_REMOTE_SECRET_ABSENT is not set"):
        loaded(tmp_path, "tfserving", serving(scripted, right, headers=headers))


@pytest.mark.parametrize("state", ["LOADING", "END"])
def test_a_version_that_is_not_available_is_no_verdict(state: str, scripted: ScriptedServer, tmp_path: Path) -> None:
    parameters = serving(scripted, right)
    status = json.dumps({"model_version_status": [{"version": "3", "state": state}]}).encode()
    scripted.answer = lambda request: Reply(status)
    with pytest.raises(NotReady, match=f"^tfserving: http://127.0.0.1:.* version 3 is {state}"):
        loaded(tmp_path, "tfserving", parameters)
