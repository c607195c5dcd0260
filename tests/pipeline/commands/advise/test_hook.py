"""The hook: a program or a URL that is told of advice, stops and alarms, and that can stop nothing."""

import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from audit.files.appending import append_model_event
from models.store.backends import Backend
from pipeline.process.starting import start_of
from schemas.records import ModelEvent
from schemas.times import format_time_us, now_us
from tests.gates.retraining.test_advice import WORN
from tests.pipeline.commands.advise.advising import AdvisedJob

_NOTES = """
import sys
open(sys.argv[1], "a").write(sys.stdin.read() + chr(10))
open(sys.argv[1] + ".args", "w").write(sys.argv[2])
"""


@pytest.fixture
def worn(job: AdvisedJob) -> AdvisedJob:
    job.measure(WORN)
    job.receive(range(60))
    del job.stated["sinks"]["drift"]
    job.stated["retraining"]["hook"] = {"mute": ["alarm"], "every": "0s"}
    return job


def hook(job: AdvisedJob, **stated: Any) -> Path:
    """Lets the job call a program that writes what it reads into a file, which is returned."""
    told = job.folder / "told"
    job.stated["retraining"]["hook"] |= {"command": [sys.executable, "-c", _NOTES, str(told), "$(id) *"], **stated}
    return told


def documents(told: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in told.read_text().splitlines()] if told.exists() else []


def test_a_program_gets_the_advice_on_its_standard_input_and_its_arguments_as_they_are(worn: AdvisedJob) -> None:
    told = hook(worn)
    advice = worn("--json").json
    (document,) = documents(told)
    assert [document[key] for key in ("about", "id", "job", "model", "version", "held_back")] == [
        "advice", advice["advice"], "late", "late", "v1", 0,
    ]  # fmt: skip
    assert document["evidence"]["score_ids"]["total"] == 100
    assert Path(f"{told}.args").read_text() == "$(id) *"
    (noted,) = worn.events("notified")
    assert (noted["reason"], noted["evidence"]["ids"], noted["evidence"]["failures"]) == (
        "delivered", [advice["advice"]], 0,
    )  # fmt: skip
    assert worn("--json").json["hook"]["called"] == []
    assert len(documents(told)) == 1


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ([sys.executable, "-c", "raise SystemExit(3)"], "it ended with exit code 3"),
        (["/nowhere/secret-path/retrain.sh", "--token", "xyzzy"], "retrain.sh cannot be started: No such file"),
        (["sleep", "600"], "it took longer than 0.2 s"),
        ([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], "it was ended by signal 9"),
    ],
    ids=["exit", "absent", "slow", "signal"],
)
def test_a_program_that_fails_is_counted_and_stops_nothing(worn: AdvisedJob, command: list[str], why: str) -> None:
    worn.stated["retraining"]["hook"] |= {"command": command, "timeout": "200ms" if "600" in command else "20s"}
    first, second = worn(), worn()
    assert [each.code for each in (first, second)] == [0, 0]
    assert "1 in a row: " + why in first.err
    assert "2 in a row: " + why in second.err
    assert len(worn.events("retraining_advised")) == 1
    noted = worn.events("notified")
    assert [(each["reason"], each["evidence"]["failures"]) for each in noted] == [("failed", 1), ("failed", 2)]
    told = hook(worn, timeout="20s")
    worn()
    assert len(documents(told)) == 1
    for secret in ("xyzzy", "secret-path"):
        assert secret not in first.err + first.out + json.dumps(noted, default=str)


def test_between_two_calls_is_the_interval(worn: AdvisedJob) -> None:
    told = hook(worn, every="1h")
    worn.stated["retraining"]["again"] = "0s"
    worn()
    worn.stated["retraining"]["price"] = 90  # another policy, so another advice
    ran = worn("--json")
    assert (ran.json["written"], len(documents(told))) == (True, 1)
    assert "the hook is not called for advice: 1 not told: called less than retraining.hook.every ago" in ran.err
    worn.stated["retraining"]["hook"]["every"] = "0s"
    worn()
    assert [each["id"] for each in documents(told)][1:] == [ran.json["advice"]]


@pytest.mark.parametrize("mute", [{"mute": ["advice", "alarm"]}, {"muted_until": "later"}], ids=["kind", "until"])
def test_a_muted_hook_is_not_called_and_that_is_said(worn: AdvisedJob, mute: dict[str, Any]) -> None:
    until = {"muted_until": format_time_us(now_us() + 3_600_000_000)} if "muted_until" in mute else mute
    told = hook(worn, **until)
    ran = worn()
    assert documents(told) == []
    assert "the hook is not called for advice: 1 not told: muted by retraining.hook.mute" in ran.err
    worn.stated["retraining"]["hook"] |= {"mute": ["alarm"], "muted_until": "2020-01-01T00:00:00Z"}
    worn()
    assert len(documents(told)) == 1


def test_of_many_alarms_the_last_is_told_with_how_many_were_held_back(job: AdvisedJob) -> None:
    job.receive([0])
    job.drift(1, 2, 3)
    job.drift(4, drifted=False)
    job.stated["retraining"]["hook"] = {"mute": ["advice"]}
    told = hook(job)
    job()
    (document,) = documents(told)
    assert [document[key] for key in ("about", "id", "held_back")] == ["alarm", "drift:v1:2019-01-04T00:00:00Z", 2]
    assert (document["reason"], document["evidence"]["columns"][0]["effect"]) == ("drifted: x", 0.7)
    job()
    assert len(documents(told)) == 1


def test_a_loss_that_rose_is_an_alarm(worn: AdvisedJob) -> None:
    told = hook(worn, mute=["advice"])
    worn()
    assert [each["id"] for each in documents(told)] == ["loss:v1:2019-02-10T00:00:00Z"]


def test_a_stop_of_a_gate_is_told(worn: AdvisedJob) -> None:
    told = hook(worn, mute=["advice", "alarm"])
    for release, decision in ((3, "promote"), (4, "stop")):
        said = json.dumps({"rollout": "r1", "decision": decision, "why": "worse"})
        event = ModelEvent(now_us(), "gate", "late", "v2", None, release, "gate", "rollout x", said)
        append_model_event(Backend(str(worn.folder / "audit")), event, "late")
    worn()
    (document,) = documents(told)
    assert [document[key] for key in ("about", "version", "release")] == ["stop", "v2", 4]
    assert document["evidence"]["why"] == "worse"


@pytest.mark.parametrize("evidence", ["no JSON", "[]", "", '{"ids": 7, "about": "advice"}', '{"advice": null}'])
def test_events_of_others_do_no_harm(worn: AdvisedJob, evidence: str) -> None:
    told = hook(worn)
    for kind in ("notified", "retraining_advised", "gate"):
        event = ModelEvent(0, kind, "late", "v1", None, None, "ann", "by hand", evidence)
        append_model_event(Backend(str(worn.folder / "audit")), event, "late")
    ran = worn("--json")
    assert (ran.code, ran.json["written"], documents(told)[-1]["id"]) == (0, True, ran.json["advice"])


@contextmanager
def server(status: int, headers: dict[str, str] | None = None) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """A server on loopback that answers with a status; its URL, and what was posted to which path."""
    posted = list[tuple[str, Any]]()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{serving.server_port}", posted
    finally:
        serving.shutdown()
        serving.server_close()


def test_a_url_gets_the_event_and_its_path_stays_a_secret(worn: AdvisedJob, monkeypatch: pytest.MonkeyPatch) -> None:
    with server(204) as (url, posted):
        monkeypatch.setenv("RETRAINING_HOOK", f"{url}/T0/xyzzy")
        worn.stated["retraining"]["hook"] |= {"url": "${RETRAINING_HOOK}"}
        ran = worn("--json")
    ((path, document),) = posted
    assert (path, document["about"], document["id"]) == ("/T0/xyzzy", "advice", ran.json["advice"])
    assert "xyzzy" not in ran.out + ran.err + json.dumps(worn.events("notified"), default=str)


@pytest.mark.parametrize(
    ("status", "headers", "why"),
    [(500, {}, " answered 500"), (302, {"Location": "/elsewhere"}, " answered 302"), (404, {}, " answered 404")],
)
def test_a_server_that_refuses_is_counted_and_gets_nothing_twice(
    worn: AdvisedJob, status: int, headers: dict[str, str], why: str
) -> None:
    with server(status, headers) as (url, posted):
        worn.stated["retraining"]["hook"] |= {"url": f"{url}/T0/xyzzy"}
        ran = worn()
    assert (ran.code, len(posted)) == (0, 1)
    assert f"{url.removeprefix('http://')}{why}" in ran.err
    assert "xyzzy" not in ran.err + json.dumps(worn.events("notified"), default=str)


def test_a_server_that_never_answers_is_waited_for_as_long_as_stated(worn: AdvisedJob) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        worn.stated["retraining"]["hook"] |= {"url": f"http://127.0.0.1:{port}/xyzzy", "timeout": "200ms"}
        ran = worn()
    assert (ran.code, f"1 in a row: 127.0.0.1:{port} took longer than 0.2 s" in ran.err) == (0, True), ran.err


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:9/xyzzy", "127.0.0.1:9 was not reached"),
        ("${NO_SUCH_HOOK}", "NO_SUCH_HOOK is not set"),
    ],
)
def test_a_url_that_cannot_be_reached_stops_nothing(worn: AdvisedJob, url: str, why: str) -> None:
    worn.stated["retraining"]["hook"] |= {"url": url}
    ran = worn()
    assert (ran.code, f"1 in a row: {why}" in ran.err, "xyzzy" in ran.err) == (0, True, False), ran.err


def test_the_audit_of_a_run_has_nothing_of_a_hook_but_its_program_or_host() -> None:
    for hook, shown in (
        ({"command": ["./x.sh", "--token", "xyzzy"]}, {"command": ["./x.sh", "…"]}),
        ({"url": "https://host:8443/T0/xyzzy"}, {"url": "https://host:8443/…"}),
        ({"url": "${HOOK}"}, {"url": "${HOOK}"}),
    ):
        spec = json.loads(start_of({"job": "j", "retraining": {"price": 1, "hook": hook}}, "r").spec)
        assert spec["retraining"] == {"price": 1, "hook": shown}
