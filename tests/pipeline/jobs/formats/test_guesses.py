"""The format that a spec does not state: guessed from content and name, told in one line, asked for otherwise."""

import pytest

from pipeline.endpoints.sources import open_source
from schemas.validation import SpecError
from tests.pipeline.jobs.flows import Flow, container, json_lines, trips
from tests.pipeline.jobs.input.test_other_formats import parquet, tfrecord

CSV = b"id,at,delay\na,2013-01-01 00:00:00,2\n"
SHOWN = {
    "json by its content": ("in.0", json_lines(trips(2)), "json"),
    "avro, though its name says csv": ("in.csv", container(trips(2)), "avro"),
    "an array": ("in.json", b'[\n{"id": 1}]', "json"),
    "csv by its look": ("in.txt", CSV, "csv"),
    "csv by its name": ("in.csv", b"id\na\n", "csv"),
    "csv with a bracket": ("in.csv", b"[id],at\n1,2\n", "csv"),
    "parquet": ("in.0", parquet(), "parquet"),
    "tfrecord": ("in.0", tfrecord(), "tfexample"),
    "nothing in it": ("in.parquet", b"", "parquet"),
}


@pytest.mark.parametrize(("name", "content", "format_name"), SHOWN.values(), ids=SHOWN)
def test_format_is_guessed_and_told(flow: Flow, name: str, content: bytes, format_name: str) -> None:
    flow.feed(content, name)
    events = {"uri": str(flow.root / name)}
    flow.capsys.readouterr()
    open_source(events)
    said = flow.capsys.readouterr().err
    assert events["format"] == format_name
    assert said.startswith(f"halflife: events.format: {format_name}, guessed from {flow.root / name}")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("content", [b"word\nword\n", b"\x00\x01\x02", b"\x1f\x8b\x08\x00rest"])
def test_format_that_nothing_shows_is_asked_for(flow: Flow, content: bytes) -> None:
    flow.feed(content, "in.0")
    with pytest.raises(SpecError, match=r"events.format: not given; expected: csv, parquet, json, avro, tfexample"):
        open_source({"uri": str(flow.root / "in.0")})


@pytest.mark.parametrize("uri", ["kafka://localhost:1/t", "pubsub://project-x/subscriptions/s"])
def test_format_of_messages_is_not_guessed(uri: str) -> None:
    for events in ({"uri": uri}, {"uri": uri, "format": "csv"}):
        with pytest.raises(SpecError, match=r"events.format.*expected: avro, json or tfexample"):
            open_source(events)
