"""Every kind of bad input ends as dead letters with the original bytes, and the counts add up."""

from typing import Any

import pytest

from models.store.store import ModelStore
from tests.pipeline.jobs.flows import COLUMNS, MANIFEST, Flow, Outcome, container, json_lines, trip, trips

OK = json_lines(trips(3))
HUGE = "1" + "0" * 400
# The line, and the error of its dead letter.
LINES: list[tuple[bytes, str]] = [
    (b"not json", "MalformedJson"),
    (b'{"id": "x", "at"', "MalformedJson"),
    (b"null", "WrongType"),
    (b"[]", "WrongType"),
    (b'{"id": "x", "at": 1356998400000000} {"id": "y", "at": 1356998400000000}', "MalformedJson"),
    (b'{"id": "\xff\xfe", "at": 1356998400000000}', "MalformedJson"),
    (b'{"id": "x", "at": 1356998400000000, "delay": "late"}', "WrongType"),
    (b'{"id": "x", "at": 1356998400000000, "distance": 1.5}', "WrongType"),
    (b'{"id": "x", "at": 1356998400000000, "delay": NaN}', "MalformedJson"),
    (b'{"id": "x", "at": 1356998400000000, "delay": -Infinity}', "MalformedJson"),
    (b'{"id": "x", "at": 1356998400000000, "delay": 1e999}', "WrongType"),
    (f'{{"id": "x", "at": 1356998400000000, "delay": {HUGE}}}'.encode(), "WrongType"),
    (b'{"at": 1356998400000000}', "MissingValue"),
    (b'{"id": "", "at": 1356998400000000}', "MissingValue"),
    (b'{"id": null, "at": 1356998400000000}', "MissingValue"),
    (b'{"id": 1.5, "at": 1356998400000000}', "WrongType"),
    (b'{"id": "x"}', "MissingValue"),
    (b'{"id": "x", "at": true}', "WrongType"),
    (b'{"id": "x", "at": "yesterday"}', "MalformedTime"),
    (b'{"id": "x", "at": "1900-01-01T00:00:00Z"}', "TimeOutOfRange"),
    (b'{"id": "x", "at": "3000-01-01T00:00:00Z"}', "TimeOutOfRange"),
    (b'{"id": "x", "at": 9223372036854775807}', "TimeOutOfRange"),
    (b'{"id": "x", "at": -9223372036854775808}', "TimeOutOfRange"),
    (b'{"id": "x", "at": 9223372036854775808}', "WrongType"),
    (b"[" * 5000, "WrongType"),
]


def adds_up(outcome: Outcome, records: int) -> bool:
    """The counts of a run that succeeded, against the number of records that went in."""
    summary = outcome.summary
    later = sum(n for stage, n in summary["dead_letters"].items() if stage != "decode")
    read = summary["decoded"] + summary["dead_letters"]["decode"]
    return bool(read == records and summary["decoded"] == summary["scored"] + later)


def test_each_bad_line_is_one_letter_with_its_bytes(flow: Flow) -> None:
    flow.feed(OK + b"".join(line + b"\n" for line, _ in LINES) + b"\n  \n" + json_lines([trip(9)]).rstrip())
    outcome = flow.run(flow.spec(columns=COLUMNS))
    assert outcome.code == 0
    assert adds_up(outcome, len(LINES) + 4)
    assert outcome.summary["scored"] == 4
    found = {letter["payload"]: letter["error"] for letter in flow.letters()}
    assert found == dict(LINES)


def test_replayed_letters_give_the_same_letters(flow: Flow) -> None:
    flow.feed(OK + b"".join(line + b"\n" for line, _ in LINES))
    flow.run(flow.spec(columns=COLUMNS))
    first = {(letter["payload"], letter["error"]) for letter in flow.letters()}
    for path in (flow.root / "dead_letters").iterdir():
        path.unlink()
    flow.feed(OK + b"".join(payload + b"\n" for payload, _ in first))
    flow.run(flow.spec(columns=COLUMNS))
    assert {(letter["payload"], letter["error"]) for letter in flow.letters()} == first


ROWS: list[tuple[dict[str, Any], str]] = [
    (trip(50, id=None), "MissingValue"),
    (trip(51, id=""), "MissingValue"),
    (trip(52, at=None), "MissingValue"),
    (trip(53, delay=float("nan")), "NotFinite"),
    (trip(54, delay=float("inf")), "NotFinite"),
    (trip(55, at=-2_208_988_800_000_000), "TimeOutOfRange"),
    (trip(56, at=32_503_680_000_000_000), "TimeOutOfRange"),
    (trip(57, at=2**63 - 1), "TimeOutOfRange"),
    (trip(58, at=-(2**63)), "TimeOutOfRange"),
]


@pytest.mark.parametrize("codec", ["null", "deflate", "zstandard"])
def test_each_bad_datum_is_one_letter_that_its_schema_decodes(flow: Flow, codec: str) -> None:
    records = [*trips(20), *(row for row, _ in ROWS)]
    flow.feed(container(records, codec=codec))
    outcome = flow.run(flow.spec("avro"))
    assert (outcome.code, outcome.summary["scored"]) == (0, 20)
    assert adds_up(outcome, len(records))
    datums = container([row for row, _ in ROWS], codec="null", per_block=100)
    errors = sorted((letter["payload"], letter["error"]) for letter in flow.letters())
    assert all(payload in datums for payload, _ in errors)
    assert sorted(error for _, error in errors) == sorted(error for _, error in ROWS)


def test_truncated_file_keeps_its_complete_records(flow: Flow) -> None:
    whole = container(trips(30))
    cut = len(whole) - 20
    flow.feed(whole[:cut])
    outcome = flow.run(flow.spec("avro"))
    assert (outcome.code, outcome.summary["scored"]) == (0, 20)
    assert adds_up(outcome, 21)
    (letter,) = flow.letters()
    assert letter["error"] == "UnreadableInput"
    assert "block is truncated" in letter["detail"]
    assert whole[:cut].endswith(letter["payload"])


def test_block_damaged_in_the_middle_costs_no_other(flow: Flow) -> None:
    whole = bytearray(container(trips(30)))
    second = whole.index(b"0123456789abcdef", whole.index(b"0123456789abcdef") + 16) + 16
    whole[second + 6 : second + 30] = b"\xff" * 24
    flow.feed(bytes(whole))
    outcome = flow.run(flow.spec("avro"))
    assert (outcome.code, outcome.summary["scored"]) == (0, 20)
    (letter,) = flow.letters()
    assert "block is damaged" in letter["detail"]
    assert bytes(whole[second:]).startswith(letter["payload"])


def test_text_that_is_no_utf8_costs_its_own_datum_only(flow: Flow) -> None:
    whole = container([*trips(15), trip(15, carrier="~~"), *trips(14, 16)], codec="null")
    flow.feed(whole.replace(b"~~", b"\xff\xfe"))
    outcome = flow.run(flow.spec("avro"))
    assert outcome.summary["scored"] == 29
    (letter,) = flow.letters()
    assert (letter["error"], b"\xff\xfe" in letter["payload"]) == ("MalformedAvro", True)


def test_duplicate_ids_are_letters_of_the_features_stage(flow: Flow) -> None:
    flow.feed(json_lines([*trips(5), trip(2, delay=9.0)]))
    flow.feed(json_lines([trip(3)]), "in.1")
    outcome = flow.run(flow.spec())
    assert adds_up(outcome, 7)
    assert outcome.summary["dead_letters"]["features"] == 2
    assert {letter["event_id"] for letter in flow.letters()} == {"t2", "t3"}
    assert {letter["error"] for letter in flow.letters()} == {"DuplicateEvent"}


def test_extra_columns_are_ignored_and_missing_ones_are_null(flow: Flow) -> None:
    narrow = {**SCHEMA_WITHOUT_DELAY, "fields": [*SCHEMA_WITHOUT_DELAY["fields"], {"name": "more", "type": "string"}]}
    flow.feed(container(trips(5)))
    records = [{**{k: v for k, v in trip(n).items() if k != "delay"}, "more": "x"} for n in range(5, 9)]
    flow.feed(container(records, narrow), "in.1")
    outcome = flow.run(flow.spec("avro"))
    assert (outcome.code, outcome.summary["scored"], flow.letters()) == (0, 9, [])


SCHEMA_WITHOUT_DELAY: dict[str, Any] = {
    "type": "record",
    "name": "Trip",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "distance", "type": "int"},
        {"name": "carrier", "type": "string"},
    ],
}


def test_column_of_another_type_in_a_later_file_is_reported_and_stated_types_fix_it(flow: Flow) -> None:
    fields = [*SCHEMA_WITHOUT_DELAY["fields"], {"name": "delay", "type": "int"}]
    flow.feed(container([trip(n, delay=n) for n in range(5)], {**SCHEMA_WITHOUT_DELAY, "fields": fields}))
    flow.feed(container(trips(4, 5)), "in.1")
    assert flow.run(flow.spec("avro")).summary["dead_letters"]["decode"] == 4
    assert {letter["error"] for letter in flow.letters()} == {"WrongType"}
    assert flow.run(flow.spec("avro", columns=COLUMNS)).summary["scored"] == 9


@pytest.mark.parametrize("format_name", ["avro", "json"])
def test_empty_file_among_others_is_no_event(flow: Flow, format_name: str) -> None:
    flow.feed(b"")
    flow.feed(container(trips(3)) if format_name == "avro" else OK, "in.1")
    outcome = flow.run(flow.spec(format_name))
    assert (outcome.code, outcome.summary["records_read"], outcome.summary["scored"]) == (0, 3, 3)


def test_only_empty_files_run_where_the_types_are_stated(flow: Flow) -> None:
    flow.feed(b"")
    outcome = flow.run(flow.spec(columns=COLUMNS))
    assert (outcome.code, outcome.summary["records_read"], outcome.summary["scored"]) == (0, 0, 0)


def test_store_without_releases_leaves_every_event_unserved(flow: Flow) -> None:
    flow.feed(OK)
    spec = flow.spec()
    spec["model"]["name"] = "other"
    ModelStore(spec["model"]["store"], "other").publish(flow.root / "payload", {**MANIFEST, "version": "v1"})
    outcome = flow.run(spec)
    assert (outcome.code, outcome.summary["scored"]) == (1, 0)
    assert outcome.summary["dead_letters"]["unserved"] == 3
    assert sorted(letter["payload"] for letter in flow.letters()) == OK.splitlines()
