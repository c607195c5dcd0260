"""A whole job whose champion is behind a server: every event ends as a score or a dead letter with its reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.jobs.flows import COLUMNS, MANIFEST, Flow, json_lines, trips
from tests.remote.servers.doubles import Reply, Request, ScriptedServer
from tests.remote.test_wrong_answers import DOWN, outputs, rows_of, serving

EVENTS = 60


@pytest.fixture
def flow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Flow:
    """A job with input and nothing released yet."""
    made = Flow(tmp_path, capsys)
    made.feed(json_lines(trips(EVENTS)))
    return made


def release(flow: Flow, parameters: dict[str, object]) -> None:
    """A version behind the server, and its release."""
    folder = flow.root / "payload"
    folder.mkdir()
    manifest = {key: value for key, value in MANIFEST.items() if key != "linear"}
    flow.store.publish(folder, {**manifest, "scorer": "tfserving", "parameters": parameters})
    flow.store.append_release(champion="v1", effective_from_us=0, by="tests")


def halved(request: Request) -> Reply:
    """A model: the delay of a trip over 100; one trip is poison."""
    delays = [row[0] for row in rows_of(request)]
    return Reply(b"poison", 400) if 7.0 in delays else outputs([delay / 100 for delay in delays])


def run(flow: Flow, events: int = EVENTS) -> dict[str, Any]:
    """The summary of a run, whose counts add up."""
    outcome = flow.run(flow.spec(columns=COLUMNS))
    assert outcome.code == 0, outcome.err
    summary = outcome.summary
    assert summary["scored"] + sum(summary["dead_letters"].values()) == summary["decoded"] == events
    return summary


def test_a_poison_record_is_the_only_dead_letter(flow: Flow, scripted: ScriptedServer) -> None:
    release(flow, serving(scripted, halved))
    assert run(flow)["scored"] == EVENTS - 1
    [letter] = flow.letters()
    assert (letter["stage"], letter["error"], letter["event_id"]) == ("score", "RecordsRefused", "t14")
    assert letter["detail"].endswith("status 400: poison")
    assert json.loads(letter["payload"])["id"] == "t14"


def test_letters_of_a_server_outage_are_scored_when_fed_again(flow: Flow, scripted: ScriptedServer) -> None:
    def going_down(request: Request) -> Reply:
        return halved(request) if len(scripted.posts) <= 2 else DOWN

    serving(scripted, halved)
    up = scripted.answer
    release(flow, serving(scripted, going_down, max_rows=5, concurrency=1, circuit={"failures": 1, "open_s": 0.01}))
    summary = run(flow)
    letters = flow.letters()
    assert 0 < summary["scored"] < EVENTS
    assert {letter["error"] for letter in letters} <= {"ServerUnavailable", "CircuitOpen", "RecordsRefused"}
    assert "ServerUnavailable" in {letter["error"] for letter in letters}
    assert len(scripted.posts) < EVENTS / 2
    scripted.answer = up
    flow.feed(b"\n".join(letter["payload"] for letter in letters))
    assert run(flow, len(letters))["scored"] >= len(letters) - 1
