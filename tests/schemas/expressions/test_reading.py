"""Texts that are not expressions, or whose kinds do not fit, are refused: what, where, and what is expected."""

import time

import pytest

from schemas.expressions.checking import check
from schemas.expressions.nodes import MalformedExpression
from schemas.expressions.reading import parse, text_of
from schemas.expressions.table import EXAMPLE

KINDS = {name: kind for name, (kind, _) in EXAMPLE.items() if name != "event_time"} | {"AND": "string", "a.b": "number"}
WRONG = (
    ("carrier = 'UA' AND", 18, "a column, a number, a text"),
    ("dep_delay > > 5", 12, "a column, a number, a text"),
    ("dep_delay 5", 10, "an operator"),
    ("(dep_delay", 10, "a closing )"),
    ("carrier == 'UA'", 9, "a column, a number, a text"),
    ("carrier = 'UA", 10, "a closing '"),
    ("carrier && seats", 8, "AND"),
    ("dep_delay IS 3", 13, "NULL"),
    ("CASE WHEN seats > 1 THEN 2", 26, "WHEN or END"),
    ("seats; 1", 5, "one expression"),
    ("(SELECT 1)", 8, "an operator"),
    ("1e400 > seats", 0, "a number below 1.8e308"),
    ("99999999999999999999 > seats", 0, "an integer of 64 bits"),
    ("carier = 'UA'", 0, "did you mean 'carrier'?"),
    ("carrier = \"UA\"", 10, "one of"),
    ("uper(carrier)", 0, "did you mean 'upper'?"),
    ("now()", 0, "one of abs"),
    ("carrier + 1", 0, "numbers or integers for x + y; this is of kind string"),
    ("carrier > 5", 8, "not integers and texts"),
    ("event_time > '2013-06-01'", 11, "timestamp('…') makes a time of a text"),
    ("dep_delay = NULL", 12, "x IS NULL"),
    ("seats AND TRUE", 0, "booleans for a AND b"),
    ("hour(event_time, 'Europe/Berln')", 17, "did you mean 'Europe/Berlin'?"),
    ("hour(event_time, '../../etc/passwd')", 17, "a time zone"),
    ("bucket(dep_delay, 0)", 18, "a width above 0"),
    ("bucket(dep_delay, seats)", 18, "written out"),
    ("width_bucket(dep_delay, [3, 1])", 24, "ascending"),
    ("cast(seats AS float)", 14, "number, integer, boolean, string"),
    ("log(1, 2)", 0, "log(x)"),
    ("substring(carrier, 0)", 19, "a number from 1"),
    ("", 0, "a column"),
)  # fmt: skip
HOSTILE = (
    *("(" * 10_000 + "1" + ")" * 10_000, "9" * 10_000, "'" + "x" * 10_000, "NOT " * 900 + "TRUE", "1" + "+1" * 1_900),
    *("-" * 1_000 + "seats", "abs(" * 900, "CASE WHEN " * 300, "1" * 3_990, "[" * 3_000, "carrier LIKE " * 200 + "'%'"),
)


def fault(text: str) -> MalformedExpression:
    with pytest.raises(MalformedExpression) as caught:
        check(text, parse(text), KINDS)
    return caught.value


@pytest.mark.parametrize(("text", "at", "allowed"), WRONG, ids=[text for text, _, _ in WRONG])
def test_a_fault_has_its_index_and_what_is_expected(text: str, at: int, allowed: str) -> None:
    found = fault(text)
    assert (found.at, allowed in str(found)) == (at, True), str(found)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_are_refused_at_once(text: str) -> None:
    parse("1")
    began = time.thread_time()
    said = str(fault(text))
    assert (time.thread_time() - began < 10, len(said) < 400) == (True, True)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("dep_delay>15 and carrier='UA'", "( dep_delay  >  15 )\nAND carrier = 'UA'"),
        ("seats != 3", "seats <> 3"),
        ("Lower(carrier) is not null", "NOT lower(carrier) IS NULL"),
        ('"carrier" = \'a\'', "carrier = 'a'"),
        ("CASE seats WHEN 1 THEN 2 END", "case when seats = 1 then 2 else null end"),
    ],
)
def test_spellings_of_one_expression_have_one_text(one: str, other: str) -> None:
    assert text_of(parse(one)) == text_of(parse(other))


@pytest.mark.parametrize(
    "text", ['"AND" = \'x\'', "a.b > 1", '"event_time" = 1', "-9223372036854775808", "- 3 * -seats", "'it''s'"]
)
def test_the_one_text_means_the_same(text: str) -> None:
    assert parse(text_of(parse(text))) == parse(text)


def test_other_expressions_have_other_texts() -> None:
    texts = ["seats - 1 - 1", "seats - (1 - 1)", "seats", "Seats", "1", "1.0", "'1'", "event_time", '"event_time"']
    assert len({text_of(parse(text)) for text in texts}) == len(texts)
