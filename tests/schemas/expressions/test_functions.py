"""Each function answers what its examples show, row by row, and never a number that is not finite."""

import math
from contextlib import suppress

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from schemas.columns import VALUES
from schemas.expressions.evaluation import evaluate, is_true
from schemas.expressions.functions import Shown
from schemas.expressions.nodes import MalformedExpression
from schemas.expressions.reading import parse, text_of
from schemas.expressions.table import FUNCTIONS
from tests.schemas.expressions.samples import edges, example

SHOWN = [shown for function in FUNCTIONS.values() for shown in function.examples]
OF_EDGES = (
    *(f"number {sign} other_number" for sign in "+-*/%"),
    *(f"integer {sign} other_integer" for sign in "+-*/%"),
    *(f"{name}(number)" for name in ("abs", "sign", "floor", "ceil", "round", "sqrt", "exp", "log", "log10", "log1p")),
    *("-integer", "abs(integer)", "sign(integer)", "power(number, other_number)", "power(integer, other_integer)"),
    *("bucket(integer, 10)", "bucket(number, 0.1)", "width_bucket(number, [-1, 0, 2])", "number = other_number"),
    *("number IN (0, 7, 1.5)", "integer BETWEEN other_integer AND 7", "boolean AND other_boolean", "NOT boolean"),
    *("boolean OR other_boolean", "CASE WHEN boolean THEN integer WHEN other_boolean THEN number END", "string < 'b'"),
    *("coalesce(number, integer, 3)", "nullif(integer, other_integer)", "least(number, integer)", "string LIKE '%U_'"),
    *("greatest(string, other_string)", "concat(string, other_string)", "substring(string, 2, 1)", "length(string)"),
    *(f"cast({one} AS {kind})" for one in VALUES for kind in VALUES),
    *(f"{part}(event_time, 'Europe/Berlin')" for part in ("hour", "minute", "day_of_week", "day_of_month", "month")),
    *("unix_seconds(event_time)", "event_time >= timestamp('1970-01-01T00:00:00Z')", "upper(string)", "1 / number > 0"),
)  # fmt: skip


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: shown.text)
def test_examples_of_the_functions_are_what_they_answer(shown: Shown) -> None:
    found = evaluate(shown.text, example())[0].as_py()
    assert (found, type(found)) == (shown.answer, type(shown.answer))
    assert evaluate(text_of(parse(shown.text)), example(3)).to_pylist() == [shown.answer] * 3


@pytest.mark.parametrize("text", OF_EDGES)
def test_answers_do_not_depend_on_the_batch_and_are_finite_or_null(text: str) -> None:
    batch = edges()
    whole = evaluate(text, batch)
    single = pa.concat_arrays([evaluate(text, batch.slice(row, 1)) for row in range(batch.num_rows)])
    assert len(evaluate(text, batch.slice(0, 0))) == 0
    assert [str(value) for value in whole] == [str(value) for value in single]
    assert [value for value in whole.to_pylist() if isinstance(value, float) and not math.isfinite(value)] == []


@pytest.mark.parametrize("text", ["taxi_out > 3", "NOT taxi_out > 3", "taxi_out IN (1, 2)", "TRUE AND taxi_out = 1"])
def test_what_is_unknown_is_not_true(text: str) -> None:
    assert is_true(text, example(2)).to_pylist() == [False, False]


def test_functions_of_arrow_that_are_not_in_the_table_cannot_be_called() -> None:
    callable_names = [name for name in pc.list_functions() if name not in FUNCTIONS and name.isidentifier()]
    assert {"random", "run_end_encode", "local_timestamp", "index_in_meta_binary"} <= {*callable_names}
    allowed = []
    for name in [*callable_names, "now", "today", "uuid", "read_csv", "eval", "__import__", "open", "getattr"]:
        with suppress(MalformedExpression):
            allowed.append((name, evaluate(f"{name}(seats)", example())))
    assert allowed == []


def test_a_zone_counts_hours_that_occur_twice_as_its_clocks_do() -> None:
    times = pa.array([1_382_833_800_000_000, 1_382_837_400_000_000], pa.timestamp("us", tz="UTC"))
    batch = pa.RecordBatch.from_pydict({"__event_time": times})
    assert evaluate("hour(event_time)", batch).to_pylist() == [0, 1]
    assert evaluate("hour(event_time, 'Europe/Berlin')", batch).to_pylist() == [2, 2]
