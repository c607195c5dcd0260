"""From the job's columns to exactly what the manifest asks for."""

import numpy as np
import pyarrow as pa
import pytest

from models.bundles.inputs import WrongInputs, as_matrix, check_inputs, prepare_inputs
from models.bundles.manifest import Input

NUMBER, INTEGER = Input("x", "number"), Input("n", "integer")
BOOLEAN, STRING = Input("b", "boolean"), Input("s", "string")


def batch(**columns: pa.Array) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def test_inputs_come_in_the_manifests_order_and_types() -> None:
    given = batch(
        s=pa.array(["a", "b"]).dictionary_encode(),
        extra=pa.array([1, 2]),
        n=pa.array([1, 2], pa.int16()),
        b=pa.array([True, False]),
        x=pa.array([1, 2], pa.int64()),
    )
    prepared, unreadable = prepare_inputs(given, [NUMBER, INTEGER, BOOLEAN, STRING])
    assert prepared.schema.names == ["x", "n", "b", "s"]
    assert prepared.schema.types == [pa.float64(), pa.int64(), pa.bool_(), pa.string()]
    assert prepared.to_pylist()[1] == {"x": 2.0, "n": 2, "b": False, "s": "b"}
    assert not unreadable.any()


def test_default_fills_null_and_the_rest_is_masked() -> None:
    given = batch(x=pa.array([1.0, None, float("nan")]), s=pa.array(["a", None, None]))
    filled, unreadable = prepare_inputs(given, [Input("x", "number", default=7.0), Input("s", "string", nullable=True)])
    assert filled.to_pydict() == {"x": [1.0, 7.0, 7.0], "s": ["a", None, None]}
    assert not unreadable.any()
    kept, unreadable = prepare_inputs(given, [NUMBER])
    assert unreadable.tolist() == [False, True, True]
    assert kept.column("x").null_count == 2


@pytest.mark.parametrize("entry", [NUMBER, INTEGER, BOOLEAN, STRING], ids=lambda entry: entry.type)
def test_column_of_nulls_fits_every_type(entry: Input) -> None:
    prepared, unreadable = prepare_inputs(batch(**{entry.name: pa.nulls(3)}), [entry])
    assert prepared.num_rows == 3
    assert unreadable.all()


@pytest.mark.parametrize(
    ("given", "entry", "message"),
    [
        (batch(y=pa.array([1.0])), NUMBER, "input 'x' is not a column; expected: one of y"),
        (batch(x=pa.array(["1"])), NUMBER, "input 'x' is a column of string; expected: number"),
        (batch(n=pa.array([1.5])), INTEGER, "input 'n' is a column of double; expected: integer"),
        (batch(n=pa.array([2**63], pa.uint64())), INTEGER, "input 'n' does not fit int64"),
        (batch(b=pa.array([1])), BOOLEAN, "expected: boolean"),
        (batch(s=pa.array([b"a"])), STRING, "expected: string"),
    ],
)
def test_column_that_does_not_fit_is_named(given: pa.RecordBatch, entry: Input, message: str) -> None:
    with pytest.raises(WrongInputs, match=message):
        prepare_inputs(given, [entry])


def test_empty_batch_stays_empty() -> None:
    prepared, unreadable = prepare_inputs(batch(x=pa.array([], pa.float64())), [NUMBER])
    assert (prepared.num_rows, unreadable.shape) == (0, (0,))


def test_matrix_has_nan_for_null() -> None:
    given = batch(x=pa.array([1.0, None]), n=pa.array([2, None]), b=pa.array([True, None]))
    expected = [[1.0, 2.0, 1.0], [np.nan] * 3]
    np.testing.assert_array_equal(as_matrix(given), expected)
    with pytest.raises(WrongInputs, match="'s' is a string"):
        as_matrix(batch(s=pa.array(["a"])))


def test_job_columns_are_compared_by_name_and_type() -> None:
    check_inputs([NUMBER, STRING], {"x": "integer", "s": "string", "more": "boolean"})
    with pytest.raises(WrongInputs, match=r"input 'x' is not a column of the job; allowed: s, xs; did you mean 'xs'\?"):
        check_inputs([NUMBER], {"s": "string", "xs": "number"})
    with pytest.raises(WrongInputs, match="input 'n' is a column of type number; expected: integer"):
        check_inputs([INTEGER], {"n": "number"})
