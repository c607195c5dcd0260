"""`halflife init` of a topic: its records are looked at as those of a file are, in whatever form they are."""

import base64
import io
import json
import subprocess
import sys
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pytest
import yaml

from pipeline.endpoints.kafka import readers
from pipeline.first_job import looking
from pipeline.first_job.looking import look_at
from pipeline.first_job.proposal import Proposal, propose
from pipeline.first_job.questions import JobDecisions
from runners.flink.local.processes import free_port
from runners.flink.local.registry import RegistryServer
from tests.kafka.records.test_payloads import register
from tests.kafka.topics import Topics
from tests.pipeline.commands.commands import halflife
from tests.pipeline.first_job.test_init import InProcess
from tests.pipeline.jobs.flows import read_avro

ROWS = 150
_NAMES = {"id": "string", "card": "string", "paid_at": "string", "amount": "double", "shop": "string",
          "fraud": "boolean"}  # fmt: skip
PAYMENT = {"type": "record", "name": "Payment",
           "fields": [{"name": name, "type": kind} for name, kind in _NAMES.items()]}  # fmt: skip
CHANGE = {"type": "record", "name": "Envelope", "fields": [
    {"name": "before", "type": ["null", PAYMENT], "default": None},
    {"name": "after", "type": ["null", "Payment"], "default": None}, {"name": "op", "type": "string"},
    {"name": "ts_ms", "type": ["null", "long"], "default": None}]}  # fmt: skip
Values = Iterable[bytes | None]


def payments() -> list[dict[str, Any]]:
    rng = np.random.default_rng(11)
    amounts = rng.gamma(2, 50, ROWS)
    return [
        {"id": f"p{row}", "card": f"c{row % 30}", "paid_at": f"2024-03-{1 + row // 24:02}T{row % 24:02}:00:00Z",
         "amount": round(float(amounts[row]), 2), "shop": "xyz"[row % 3],
         "fraud": bool(rng.random() < (0.8 if amounts[row] > 120 else 0.1))}
        for row in range(ROWS)
    ]  # fmt: skip


def change(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    return {"before": None, "after": row, "op": "cru"[number % 3], "ts_ms": 1_735_689_600_000 + number}


def cloud(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    return {"specversion": "1.0", "id": f"ce-{number}", "source": "/payments", "type": "paid", "data": row}


def in_base64(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    whole = cloud(row, number)
    return {**whole, "data_base64": base64.b64encode(json.dumps(whole.pop("data")).encode()).decode()}


def texts(records: Iterable[Any]) -> Values:
    return [json.dumps(record).encode() for record in records]


def datums(records: Iterable[Mapping[str, Any]], schema: Any, frame: bytes = b"") -> Values:
    parsed = fastavro.parse_schema(schema)
    for record in records:
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, parsed, record)
        yield frame + stream.getvalue()


@pytest.fixture(scope="module")
def from_file(tmp_path_factory: pytest.TempPathFactory) -> Proposal:
    """What is proposed of the records in a file."""
    path = tmp_path_factory.mktemp("payments") / "payments.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in payments()))
    return propose(look_at(str(path)), JobDecisions())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to begin in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py"])
    return tmp_path


def forms(registry: RegistryServer) -> dict[str, tuple[Values, str, dict[str, Any]]]:
    """Values of a topic, the options of its URI, and how they are to be read."""
    rows = payments()
    changes = [change(row, number) for number, row in enumerate(rows)]
    events = [cloud(row, number) for number, row in enumerate(rows)]
    gone = {**changes[0], "op": "d", "before": rows[0], "after": None}
    framed, of_changes = register(registry, PAYMENT), register(registry, CHANGE)
    url = f"?registry={registry.url}"
    debezium, clouds = {"envelope": "debezium"}, {"envelope": "cloudevents"}
    return {
        "json": (texts(rows), "", {"format": "json"}),
        "avro": (datums(rows, PAYMENT), "?schema=payment.avsc", {"format": "avro"}),
        "avro of a registry": (datums(rows, PAYMENT, framed), url, {"format": "avro"}),
        "debezium": ([*texts([gone]), None, *texts(changes)], "", {"format": "json", **debezium}),
        "debezium with its schema": (texts({"schema": {}, "payload": each} for each in changes), "",
                                     {"format": "json", **debezium}),
        "debezium of a registry": (datums(changes, CHANGE, of_changes), url, {"format": "avro", **debezium}),
        "cloudevents": (texts(events), "", {"format": "json", **clouds}),
        "cloudevents in base64": (texts(map(in_base64, rows, range(ROWS))), "", {"format": "json", **clouds}),
    }  # fmt: skip


def test_topic_in_any_form_is_proposed_as_the_file_is(
    topics: Topics, registry: RegistryServer, folder: Path, from_file: Proposal
) -> None:
    (folder / "payment.avsc").write_text(json.dumps(PAYMENT))
    for name, (values, options, read) in forms(registry).items():
        topic = topics.create()
        topics.write(topic, values)
        made = propose(look_at(f"kafka://{topics.broker.bootstrap}/{topic}{options}"), JobDecisions())
        events = {key: made.look.events[key] for key in read}
        found = (events, made.event_id, made.event_time, made.subject, made.look.table.num_rows, made.look.whole)
        assert found == (read, "id", "paid_at", "card", ROWS, True), name
        label = (made.label and made.label.column, set(from_file.chosen.columns) <= set(made.chosen.columns))
        assert label == ("fraud", True), (name, made.chosen)
        assert set(made.chosen.columns) - set(from_file.chosen.columns) == set(), name


def test_cloudevents_in_headers_are_recognised(topics: Topics) -> None:
    topic = topics.create()
    for number, row in enumerate(payments()[:40]):
        headers = {"ce_specversion": "1.0", "ce_id": f"ce-{number}", "ce_time": row.pop("paid_at"), "ce_type": "paid"}
        topics.write(topic, texts([row]), headers=headers, partition=0)
    made = propose(look_at(f"kafka://{topics.broker.bootstrap}/{topic}"), JobDecisions())
    assert (made.look.events["envelope"], made.event_time, made.event_id) == ("cloudevents", "time", "id")


def test_one_command_scores_what_a_topic_holds(
    topics: Topics, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, rows = topics.create(2), payments()
    topics.write(topic, [*texts(rows[::2]), b"{broken"])
    topics.write(topic, texts(rows[1::2]), partition=1)
    monkeypatch.setattr(subprocess, "run", InProcess())
    ran = halflife("init", f"kafka://{topics.broker.bootstrap}/{topic}", "--yes")
    assert (ran.code, "AUC on " in ran.out + ran.err) == (0, True), ran
    assert {record["event_id"] for record in read_avro(folder / "out" / "scores")} == {row["id"] for row in rows}
    job = yaml.safe_load((folder / "job.yaml").read_text("utf-8"))
    assert job["events"]["uri"] == job["labels"]["uri"] == f"kafka://{topics.broker.bootstrap}/{topic}?until=latest"
    replayed = halflife("replay", "--job", "job.yaml", "--version", "1", "--out", folder / "again", "--json")
    assert (replayed.code, replayed.json["versions"]["1"]["quality"]["overall"]["n"]) == (0, ROWS), replayed


def test_no_more_records_are_looked_at_than_are_needed(topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = topics.create()
    topics.write(topic, texts(payments()))
    monkeypatch.setattr(looking, "MOST_ROWS", 40)
    look = look_at(f"kafka://{topics.broker.bootstrap}/{topic}?until=latest")
    assert (look.table.num_rows, look.whole, look.files) == (40, False, 0)


@pytest.fixture
def unreadable(topics: Topics, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, int, str]]:
    """URIs of topics that nothing can be made of, with the code and what is said."""
    monkeypatch.setattr(readers, "_ANSWER_SECONDS", 1.0)
    empty, deleted, other, framed = (topics.create() for _ in range(4))
    topics.write(deleted, [None, b""])
    topics.write(other, [b"a;b", b"1;2"])
    topics.write(framed, [b"\x00\x00\x00\x00\x07abcdef"])
    hosts, again = topics.broker.bootstrap, "next: halflife init again once"
    return {
        "empty": (f"{hosts}/{empty}", 1, f"(no records in it); expected: records that can be looked at; {again}"),
        "deleted": (f"{hosts}/{deleted}", 1, "(2 tombstones and empty values)"),
        "other": (f"{hosts}/{other}", 1, f"no readable record: b'a;b' at kafka://{hosts}/{other}[0]@0; expected: JSON"),
        "framed": (f"{hosts}/{framed}", 2, "expected: registry=URL in its URI: the schema registry"),
        "missing": (f"{hosts}/absent-{uuid.uuid4().hex[:8]}", 1, again),
        "down": (f"127.0.0.1:{free_port()}/events", 1, "the broker does not answer"),
        "no topic": (hosts, 2, "kafka://host:port/topic"),
    }


def test_topic_without_records_is_one_line_and_the_next_command(
    unreadable: Mapping[str, tuple[str, int, str]], folder: Path
) -> None:
    for name, (uri, code, said) in unreadable.items():
        ran = halflife("init", f"kafka://{uri}", "--yes")
        [line] = [line for line in ran.err.splitlines() if line.startswith("error: ")] or [ran.err]
        assert (ran.code, said in line, "--verbose" in line) == (code, True, False), (name, ran)
        assert list(folder.iterdir()) == []
