"""A record made to end or hang the process is one letter; its neighbours are scored, and in time."""

from pathlib import Path
from typing import Any

import pytest

from schemas.avro.datums import zigzag_varint
from tests.pipeline.jobs.containers import by_hand, deflated, event, event_schema, text
from tests.pipeline.jobs.flows import START_US, Flow, json_lines, trip

LIST = '["null", {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}]'
NULLS = {"type": "array", "items": "null"}
COLUMNS = {"delay": "number"}


def spec(flow: Flow, format_name: str, columns: bool = True) -> dict[str, Any]:
    job = flow.spec(format_name, **({"columns": COLUMNS} if columns else {}))
    return {**job, "features": ["delay"]}


def nested_line(opening: str, closing: str, depth: int, name: str = "deep") -> bytes:
    body = opening * depth + "1" + closing * depth
    return f'{{"id": "{name}", "at": {START_US}, "delay": 1.0, "other": {body}}}\n'.encode()


@pytest.mark.parametrize(
    ("opening", "closing", "depth", "columns"),
    [("[", "]", 100_000, False), ("[", "]", 1_100, True), ('{"a":', "}", 1_100, True), ('[{"b":', "}]", 300, False)],
)
def test_deep_json_in_a_column_that_nobody_reads_is_one_letter(
    flow: Flow, opening: str, closing: str, depth: int, columns: bool
) -> None:
    line = nested_line(opening, closing, depth)
    flow.feed(json_lines([trip(0)]) + line + json_lines([trip(1)]))
    outcome = flow.run(spec(flow, "json", columns))
    assert (outcome.code, outcome.summary.get("scored")) == (0, 2), outcome.err
    assert [(letter["error"], letter["payload"]) for letter in flow.letters()] == [("MalformedJson", line[:-1])]


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_five_hundred_levels_and_brackets_within_texts_are_read(flow: Flow, opening: str) -> None:
    inside = json_lines([trip(0, other='["' * 3000, delay=1.0)])
    flow.feed(inside + nested_line(opening, "]" if opening == "[" else "}", 500))
    outcome = flow.run(spec(flow, "json"))
    assert (outcome.code, outcome.summary["scored"], flow.letters()) == (0, 2, []), outcome.err


@pytest.mark.parametrize(
    ("more", "good", "bad"),
    [
        (LIST, b"\0", b"\2" * 20_000 + b"\0"),
        (LIST, b"\0", b"\2" * 900 + b"\0"),
        (NULLS, b"\0", zigzag_varint(2**62) + b"\0"),
        (NULLS, b"\0", zigzag_varint(-(2**63)) + zigzag_varint(0) + b"\0"),
        ({"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}, b"\0", zigzag_varint(2**40) + b"\0"),
        ({"type": "enum", "name": "K", "symbols": ["A", "B"]}, zigzag_varint(1), zigzag_varint(2**40)),
        ("string", text(b"a"), text(b"\xff\xfe")),
    ],
    ids=["20,000 deep", "900 deep", "2^62 nulls", "-2^63 nulls", "2^40 empty fixed", "no such symbol", "no UTF-8"],
)
def test_hostile_avro_record_is_one_letter(flow: Flow, more: Any, good: bytes, bad: bytes) -> None:
    hostile = event("deep", bad)
    flow.feed(by_hand(event_schema(more), (3, event("a", good) + hostile + event("b", good))))
    outcome = flow.run(spec(flow, "avro"))
    assert (outcome.code, outcome.summary["scored"]) == (0, 2), outcome.err
    assert [(letter["error"], letter["payload"]) for letter in flow.letters()] == [("MalformedAvro", hostile)]


@pytest.mark.parametrize(
    ("more", "bad"),
    [
        ({"type": "array", "items": "long"}, zigzag_varint(2**62)),
        ({"type": "map", "values": "null"}, zigzag_varint(2**62)),
        ("bytes", zigzag_varint(2**62)),
        ("string", zigzag_varint(-5)),
        (["null", "long"], zigzag_varint(2**40)),
    ],
)
def test_wrong_lengths_lose_only_the_rest_of_their_block(flow: Flow, more: Any, bad: bytes) -> None:
    hostile = event("x", bad)
    flow.feed(by_hand(event_schema(more), (1, event("a", b"\0")), (1, hostile), (1, event("b", b"\0"))))
    outcome = flow.run(spec(flow, "avro"))
    assert (outcome.code, outcome.summary["scored"]) == (0, 2), outcome.err
    assert [letter["payload"] for letter in flow.letters()] == [hostile]


def peak_kib(forget: bool = False) -> int:
    """The most memory that this process has held; with `forget` only from now on, whatever other tests took."""
    if forget:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM:")).split()[1])


@pytest.mark.parametrize("opening", ['{"type": "array", "items": ', '["null", {"type": "map", "values": '])
def test_list_and_schema_of_five_hundred_levels_are_read(flow: Flow, opening: str) -> None:
    levels = 500
    closing = "}]" if opening.startswith("[") else "}"
    flow.feed(by_hand(event_schema(opening * levels + '"long"' + closing * levels), (1, event("a", b"\0"))))
    flow.feed(by_hand(event_schema(LIST), (1, event("b", b"\2" * levels + b"\0"))), "in.1")
    outcome = flow.run(spec(flow, "avro"))
    assert (outcome.code, outcome.summary["scored"], flow.letters()) == (0, 2, []), outcome.err


def test_block_that_inflates_without_end_is_a_letter_and_takes_no_memory(flow: Flow) -> None:
    bomb = deflated(event("x", zigzag_varint(2**32)), zeros=1024)
    blocks = [(1, deflated(event("a", b"\0"))), (1, bomb), (1, deflated(event("b", b"\0")))]
    flow.feed(by_hand(event_schema("bytes"), *blocks, codec="deflate"))
    before = peak_kib(forget=True)
    outcome = flow.run(spec(flow, "avro"))
    assert (outcome.code, outcome.summary["scored"], len(flow.letters())) == (0, 2, 1), outcome.err
    assert peak_kib() - before < 700 * 1024
