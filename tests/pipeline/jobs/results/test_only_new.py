"""`--only_new`: each event is scored once by a job that runs again and again, whatever is killed and when."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pipeline.reporting import durable
from tests.pipeline.jobs.flows import MANIFEST, Flow, Outcome, json_lines, read_avro, trip, trips


def ids(flow: Flow, sink: str) -> Counter[str]:
    """The events with a record that readers see; hidden files are none of theirs."""
    found = Counter[str]()
    for path in (flow.root / sink).glob("[!.]*.avro"):
        folder = flow.root / "one"
        folder.mkdir(exist_ok=True)
        (folder / "one.avro").write_bytes(path.read_bytes())
        found.update(record["event_id"] or "none" for record in read_avro(folder))
    return found


def only_new(flow: Flow, *words: str) -> Outcome:
    return flow.run(flow.spec(), "--only_new", *words)


def hidden(flow: Flow) -> list[str]:
    return [path.name for path in flow.root.rglob(".*") if path.is_file()]


def test_later_runs_score_new_rows_and_files_with_features_of_all(flow: Flow) -> None:
    flow.feed(json_lines([*trips(100), trip(900, delay="slow")]))
    first = only_new(flow)
    assert (first.code, first.summary["scored"], first.summary["done_before"]["events"]) == (0, 100, 0), first.err
    flow.feed(json_lines([*trips(100), trip(900, delay="slow"), *trips(20, first=100)]))  # the file grew
    flow.feed(json_lines([*trips(10, first=90), trip(901, delay="slow"), *trips(10, first=120)]), "in.1")
    second = only_new(flow)
    assert (second.code, second.summary["scored"], second.summary["done_before"]["events"]) == (0, 30, 100), second.err
    assert second.summary["dead_letters"] == {"decode": 1, "features": 10, "unserved": 0, "score": 0, "labels": 0}
    assert (ids(flow, "scores"), ids(flow, "audit/receipts")) == (Counter(f"t{n}" for n in range(130)),) * 2
    third = only_new(flow)
    assert (third.code, third.summary["scored"], sum(third.summary["dead_letters"].values())) == (0, 0, 0)
    assert "nothing is new" in third.err
    whole = flow.run({**flow.spec(), "sinks": {"audit": str(flow.root / "whole")}})
    assert whole.summary["scored"] == 130
    features = [{each["event_id"]: each["features"] for each in read_avro(flow.root / sink / "receipts")}
                for sink in ("audit", "whole")]  # fmt: skip
    assert features[0] == features[1]


class Killed(BaseException):
    """Stands for a process that is killed: nothing is done after it."""


@pytest.mark.parametrize("fatal", range(1, 13))
def test_killed_at_any_write_nothing_is_missing_or_double(
    flow: Flow, monkeypatch: pytest.MonkeyPatch, fatal: int
) -> None:
    flow.feed(json_lines([*trips(30), trip(900, delay="slow")]))
    calls, real = [0], {name: getattr(durable, name) for name in ("rename", "delete", "sync")}

    def dying(name: str) -> Any:
        def call(*given: Any) -> None:
            calls[0] += name != "delete"
            if calls[0] >= fatal:
                raise Killed
            real[name](*given)

        return call

    for name in real:
        monkeypatch.setattr(durable, name, dying(name))
    with suppress(BaseException):  # the runner may wrap it
        only_new(flow)
    assert calls[0] >= fatal, "the run ended before its fatal write"
    for name, each in real.items():
        monkeypatch.setattr(durable, name, each)
    flow.feed(json_lines([*trips(30), trip(900, delay="slow"), *trips(5, first=30)]))
    again = only_new(flow)
    assert again.code == 0, again.err
    assert ids(flow, "scores") == ids(flow, "audit/receipts") == Counter(f"t{n}" for n in range(35))
    assert ids(flow, "dead_letters") == Counter({"none": 1})


def test_process_that_is_killed_leaves_nothing_that_counts(flow: Flow) -> None:
    flow.feed(json_lines(trips(50)))
    program = (
        "import os, signal, sys\n"
        "from pipeline.endpoints.only_new.ledger import Ledger\n"
        "Ledger.append = lambda *given: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from pipeline.run import run\n"
        "sys.exit(run(sys.argv[1:]))"
    )
    words = ["--job", str(flow.write_spec(flow.spec())), "--only_new"]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, check=False, cwd=Path.cwd(),
                          env={**os.environ, "PYTHONPATH": str(Path.cwd())})  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (ids(flow, "scores"), [name for name in hidden(flow) if name.endswith(".held")] != []) == (Counter(), True)
    assert only_new(flow).code == 0
    assert ids(flow, "scores") == ids(flow, "audit/receipts") == Counter(f"t{n}" for n in range(50))
    assert [name for name in hidden(flow) if name.endswith(".held")] == []


def test_of_two_runs_at_once_one_counts(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.endpoints.only_new.ledger import Entry, Ledger

    flow.feed(json_lines(trips(20)))
    real = Ledger.append

    def late(self: Ledger, sequence: int, entry: Entry, counts: dict[str, Any]) -> bool:
        real(self, sequence, Entry("other", ()), {})  # the other run commits first
        return real(self, sequence, entry, counts)

    monkeypatch.setattr(Ledger, "append", late)
    outcome = only_new(flow)
    assert (outcome.code, ids(flow, "scores")) == (1, Counter())
    assert "another run of the job with --only_new has ended meanwhile" in outcome.err
    monkeypatch.setattr(Ledger, "append", real)
    assert (only_new(flow).code, sum(ids(flow, "scores").values())) == (0, 20)


def test_run_that_fails_keeps_nothing_and_dead_letters_are_tried_again_on_demand(flow: Flow) -> None:
    flow.feed(json_lines([*trips(9), trip(9, delay="slow")]))
    failed = only_new(flow, "--max_dead_letters", "0")
    assert (failed.code, ids(flow, "scores"), ids(flow, "dead_letters"), hidden(flow)) == (1, Counter(), Counter(), [])
    assert only_new(flow).summary["scored"] == 9


def test_events_of_dead_letters_are_tried_again_on_demand_only(tmp_path: Path, capsys: Any) -> None:
    flow = Flow(tmp_path, capsys)
    number = {"inputs": [{"name": "delay", "type": "number"}]}  # null is not allowed
    (flow.root / "payload").mkdir()
    for version, changes in (("v1", number), ("v2", {})):
        flow.store.publish(flow.root / "payload", {**MANIFEST, "version": version, **changes})
    flow.store.append_release(champion="v1", effective_from_us=0, by="tests")
    flow.feed(json_lines([*trips(9), trip(9, delay=None)]))
    assert only_new(flow).summary["dead_letters"]["score"] == 1
    again = only_new(flow, "--retry_dead_letters").summary  # it fails as before, and is told once
    assert (again["scored"], again["dead_letters"]["score"], again["done_before"]["dead_letters"]["score"]) == (0, 0, 1)
    flow.store.append_release(champion="v2", effective_from_us=0, by="tests")
    assert [only_new(flow, *words).summary["scored"] for words in ((), ("--retry_dead_letters",))] == [0, 1]
    assert ids(flow, "scores") == Counter(f"t{n}" for n in range(10))


REFUSED = [
    ({"sinks.scores": "stdout:"}, (), "sinks.scores: 'stdout:' is not allowed; expected: a folder with --only_new"),
    ({"sinks": {"audit": "x"}}, (), "sinks.scores: missing; expected: a folder"),
    ({}, ("--sinks", "replace"), "--sinks: 'replace' is not allowed; expected: append with --only_new"),
    ({}, ("--sinks", "new"), "--sinks: 'new' is not allowed"),
]


@pytest.mark.parametrize(("changes", "words", "message"), REFUSED)
def test_what_only_new_cannot_do_is_refused(
    flow: Flow, changes: dict[str, Any], words: tuple[str, ...], message: str
) -> None:
    flow.feed(json_lines(trips(3)))
    settings = [word for name, value in changes.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    outcome = only_new(flow, *words, *settings)
    assert (outcome.code, message in outcome.err) == (2, True), outcome.err


def test_missing_scores_of_earlier_runs_stop_the_next(flow: Flow) -> None:
    flow.feed(json_lines(trips(3)))
    assert only_new(flow).code == 0
    next((flow.root / "scores").glob("*.avro")).unlink()
    outcome = only_new(flow)
    assert (outcome.code, "what they hold would be scored again; next: put them back" in outcome.err) == (1, True)
