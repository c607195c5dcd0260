"""A value of another type than its column's: the letter names the column, shows the value and what is expected."""

from typing import Any

from tests.pipeline.jobs.flows import COLUMNS, Flow, json_lines, trip

NOBODY = {"weekend": "boolean", 'a"b': "number"}
VALUES: list[tuple[dict[str, Any], str]] = [
    ({"delay": "late"}, 'delay: "late" is not allowed; expected: a number or null'),
    ({"distance": 1.5}, "distance: 1.5 is not allowed; expected: a 64-bit whole number"),
    ({"distance": 2**63}, f"distance: {2**63} is not allowed; expected: a 64-bit whole number or null"),
    ({"carrier": 7}, "carrier: 7 is not allowed; expected: a text or null"),
    ({"weekend": 1}, "weekend: 1 is not allowed; allowed: true, false or null"),
    ({"carrier": {"a": [1]}}, 'carrier: {"a": [1]} is not allowed; expected: a text or null'),
    ({"id": 1.5}, "id: 1.5 is not allowed; expected: a text or a whole number"),
    ({"at": True}, "at: true is not allowed; expected: a time as a text or a 64-bit number"),
    ({"who": [1]}, "who: [1] is not allowed; expected: a text or a whole number"),
    ({'a"b': "x"}, 'a"b: "x" is not allowed; expected: a number or null'),
]
LINES = [b"null", b"[1, 2]", b'"text"', b"[" * 500]
LONG = ["x" * 5000, "\x1b[31m\u202e", "a\tb"]


def test_letter_of_a_wrong_type_names_column_value_and_what_is_expected(flow: Flow) -> None:
    flow.feed(json_lines([trip(0), *(trip(number, **changes) for number, (changes, _) in enumerate(VALUES, 1))]))
    outcome = flow.run(flow.spec(columns={**COLUMNS, **NOBODY}, subject="who"))
    assert outcome.summary["dead_letter_errors"] == {"decode": {"WrongType": len(VALUES)}}, outcome
    letters = {letter["payload"]: letter["detail"].partition(": ")[2] for letter in flow.letters()}
    for number, (changes, says) in enumerate(VALUES, 1):
        payload = json_lines([trip(number, **changes)]).rstrip()
        assert letters[payload].startswith(says)


def test_letter_of_a_line_that_is_no_object_says_so(flow: Flow) -> None:
    flow.feed(json_lines([trip(0)]) + b"\n".join(LINES))
    flow.run(flow.spec(columns=COLUMNS))
    details = [letter["detail"] for letter in flow.letters()]
    assert len(details) == len(LINES)
    assert all("is not allowed; expected: one JSON object on each line" in detail for detail in details), details


def test_value_in_a_letter_is_cut_and_printable(flow: Flow) -> None:
    flow.feed(json_lines([trip(0), *(trip(number, delay=value) for number, value in enumerate(LONG, 1))]))
    flow.run(flow.spec(columns=COLUMNS))
    details = [letter["detail"] for letter in flow.letters()]
    assert len(details) == len(LONG)
    for detail in details:
        assert detail.isprintable()
        assert "delay: \"" in detail
        assert "is not allowed; expected: a number or null" in detail
        assert len(detail) < 300
