"""Files that hold JSON in other ways than a record a line are read, and what is not JSON is named."""

import gzip
import json
from typing import Any

import pytest

from pipeline.endpoints.files import formats as event_files
from pipeline.endpoints.files import json_files
from tests.pipeline.jobs.flows import COLUMNS, SCHEMA, Flow, container, json_lines, said_nothing_of_python, trips
from tests.pipeline.jobs.input.test_bad_input import adds_up

TRICKY = [
    {**trip, "note": 'a "brace" } and { [ \\', "more": [{"n": {"m": [1, {}]}}, "]"], "text": "\\"} for trip in trips(6)
]
WAYS: dict[str, bytes] = {
    "array": json.dumps(TRICKY).encode(),
    "array over lines": json.dumps(TRICKY, indent=2).encode() + b"\n",
    "a line each in an array": b"[" + b",\n".join(json.dumps(each).encode() for each in TRICKY) + b"\n]\n",
    "pretty": b"\n".join(json.dumps(each, indent=4).encode() for each in TRICKY),
    "pretty with tabs and returns": b"\r\n".join(
        json.dumps(each, indent="\t").replace("\n", "\r\n").encode() for each in TRICKY
    ),
    "a key on the first line": b"".join(
        json.dumps(each, indent=1).replace("\n ", "", 1).encode() + b"\n" for each in TRICKY
    ),
    "keys on few lines": b"\n\n"
    + b"".join(json.dumps(each).replace(', "', ',\n "').encode() + b"\n" for each in TRICKY),
    "arrays end to end": json.dumps(TRICKY[:4]).encode() + b"\n" + json.dumps(TRICKY[4:]).encode(),
    "lines": json_lines(TRICKY),
}


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["", "BOM"])
@pytest.mark.parametrize("way", WAYS)
def test_objects_are_read_however_they_are_written(flow: Flow, way: str, bom: bytes) -> None:
    flow.feed(bom + WAYS[way])
    outcome = flow.run(flow.spec())
    assert outcome.code == 0, outcome.err
    assert (outcome.summary["scored"], flow.letters()) == (6, [])


@pytest.mark.parametrize("way", [way for way in WAYS if way != "lines"])
def test_objects_are_cut_nowhere_by_the_pieces_that_are_read(
    flow: Flow, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_files, "_JSON_BYTES", 37)
    monkeypatch.setattr(event_files, "_PIECE_BYTES", 11)
    flow.feed(gzip.compress(WAYS[way]), "in.gz")
    outcome = flow.run(flow.spec(columns=COLUMNS))
    assert (outcome.code, outcome.summary["scored"], flow.letters()) == (0, 6, []), outcome.err


def test_item_of_an_array_that_is_no_object_is_a_letter(flow: Flow) -> None:
    first, second = (json.dumps(each).encode() for each in TRICKY[:2])
    flow.feed(b"[" + first + b', 5, "a { b", ' + second + b', {"id": "x", "at": "soon"}, {"id": "y", [')
    outcome = flow.run(flow.spec(columns=COLUMNS))
    assert (outcome.code, outcome.summary["scored"], adds_up(outcome, 5)) == (0, 2, True), outcome.err
    wrong = [b'5, "a { b"', b'{"id": "x", "at": "soon"}', b'{"id": "y", [']
    assert sorted(letter["payload"] for letter in flow.letters()) == sorted(wrong)


@pytest.mark.parametrize("way", ["pretty", "array over lines"])
def test_object_that_does_not_end_costs_itself(flow: Flow, way: str) -> None:
    broken = WAYS[way].replace(b'"id": "t2"', b'"id": "t2", "left": {"open": ', 1)
    flow.feed(broken)
    outcome = flow.run(flow.spec(columns=COLUMNS))
    assert (outcome.code, outcome.summary["scored"], adds_up(outcome, 6)) == (0, 5, True), outcome.err
    (letter,) = flow.letters()
    assert (b'"t2"' in letter["payload"], b'"t3"' in letter["payload"]) == (True, False)
    assert "does not end" in letter["detail"]


@pytest.mark.parametrize("broken", [b'{"id": "x",', b'{"id": "x", "at": {', b'{"id": "}{'])
def test_line_that_is_cut_off_costs_itself(flow: Flow, broken: bytes) -> None:
    flow.feed(broken + b"\n" + json_lines(trips(3)))
    outcome = flow.run(flow.spec(columns=COLUMNS))
    assert (outcome.code, outcome.summary["scored"]) == (0, 3), outcome.err
    assert [letter["payload"] for letter in flow.letters()] == [broken]


@pytest.mark.parametrize("content", [b"[]", b"[\n]\n", b"[]\n[ ]"])
def test_empty_array_holds_no_record(flow: Flow, content: bytes) -> None:
    flow.feed(content)
    outcome = flow.run(flow.spec(columns=COLUMNS))
    assert (outcome.code, outcome.summary["records_read"]) == (0, 0), outcome.err


def test_line_of_a_lone_brace_costs_itself(flow: Flow) -> None:
    flow.feed(b"{\n" + json_lines(trips(3)))
    outcome = flow.run(flow.spec(columns=COLUMNS))
    assert (outcome.code, outcome.summary["scored"]) == (0, 3), outcome.err
    assert [letter["payload"] for letter in flow.letters()] == [b"{"]


OTHERS: list[tuple[Any, str]] = [
    (json_lines(TRICKY).decode().encode("utf-16"), "text in UTF-16"),
    (json_lines(TRICKY).decode().encode("utf-16-be"), "text in UTF-16"),
    (json_lines(TRICKY).decode().encode("utf-32"), "text in UTF-32"),
    (gzip.compress(json_lines(TRICKY)), "gzip data (name it .gz)"),
    (container(trips(3), SCHEMA), "an Avro container (events.format: avro)"),
]


@pytest.mark.parametrize(("content", "name"), OTHERS)
def test_text_that_is_no_json_is_named(flow: Flow, content: bytes, name: str) -> None:
    flow.feed(content)
    outcome = flow.run(flow.spec())
    assert (outcome.code, said_nothing_of_python(outcome)) == (1, True)
    assert f"not JSON but {name}" in outcome.err
    flow.feed(json_lines(trips(2)), "in.1")
    outcome = flow.run(flow.spec(columns=COLUMNS))
    assert (outcome.code, outcome.summary["scored"]) == (0, 2), outcome.err
    (letter,) = flow.letters()
    assert (letter["payload"], f"in.0@0: not JSON but {name}" in letter["detail"]) == (content, True)
