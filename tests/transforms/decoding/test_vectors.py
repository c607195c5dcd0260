"""Columns of lists as vectors: what fits is not copied, and what does not says what was found and is expected."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from schemas.job import EventsSpec
from schemas.vectors import rows_of
from transforms.decoding.conform import Conformed, conform

LIST = pa.list_(pa.float64())


def conformed(values: pa.Array, kind: str = "vector[3]", sign: str | None = None) -> Conformed:
    texts = () if sign is None else (("v", sign),)
    spec = EventsSpec("uri", "avro", "id", "at", None, 0, (("v", kind),), (0, 4_102_444_800_000_000), "us", texts=texts)
    names = [f"e{row}" for row in range(len(values))]
    rows = pa.RecordBatch.from_pydict({"id": names, "at": pa.array([1] * len(values)), "v": values})
    return conform(rows, pa.array([name.encode() for name in names]), spec, 5)


def test_numbers_of_the_type_wanted_are_not_copied() -> None:
    given = np.arange(12, dtype=np.float32)
    found = conformed(pa.FixedSizeListArray.from_arrays(pa.array(given), 3))
    assert np.shares_memory(rows_of(found.events.column("v")), given)
    lists = pa.ListArray.from_arrays(pa.array([0, 3, 6, 9, 12], pa.int32()), pa.array(given))
    assert np.shares_memory(rows_of(conformed(lists).events.column("v")), given)


@pytest.mark.parametrize(
    "kind",
    [LIST, pa.large_list(pa.float32()), pa.list_(pa.uint8()), pa.list_(pa.int64(), 3), pa.list_(pa.float16(), 3)],
)
def test_lists_of_each_type_of_numbers_are_vectors(kind: pa.DataType) -> None:
    found = conformed(pa.array([[1, 2, 3], None, [4, 5, 6]], kind))
    assert found.dead_letters == []
    assert found.events.column("v").type == pa.list_(pa.float32(), 3)
    assert found.events.column("v").to_pylist() == [[1, 2, 3], None, [4, 5, 6]]


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        ([1.0, 2.0], "WrongLength", "v: a list of length 2 is not allowed; expected: a vector of 3 numbers"),
        ([], "WrongLength", "v: a list of length 0 is not allowed; expected: a vector of 3 numbers"),
        ([1.0] * 4, "WrongLength", "v: a list of length 4 is not allowed; expected: a vector of 3 numbers"),
        ([1.0, None, None], "WrongType", "v: null as number 2 is not allowed; expected: a vector of 3 numbers"),
        ([1.0, 2.0, np.nan], "NotFinite", "v: nan as number 3 is not allowed; expected: a vector of 3 numbers that "),
        ([-np.inf, 2.0, 0.0], "NotFinite", "v: -inf as number 1 is not allowed; expected: a vector of 3 numbers that "),
        ([0.0, 1e39, 0.0], "NotFinite", "v: inf as number 2 is not allowed; expected: a vector of 3 numbers that are "
         "finite in 32 bits"),
    ],
)  # fmt: skip
def test_vectors_that_do_not_fit_are_dead_letters(value: list[Any], error: str, says: str) -> None:
    found = conformed(pa.array([[1.0, 2.0, 3.0], value, None], LIST))
    assert [(letter.error, letter.payload) for letter in found.dead_letters] == [(error, b"e1")]
    assert found.dead_letters[0].detail.startswith(says)
    assert found.events.column("v").to_pylist() == [[1.0, 2.0, 3.0], None]


def test_64_bits_hold_what_32_do_not() -> None:
    found = conformed(pa.array([[1e39, 0.1, 2**53 + 1.0]], LIST), "vector[3,float64]")
    assert found.events.column("v").to_pylist() == [[1e39, 0.1, 2**53 + 1.0]]


def test_each_row_is_judged_by_itself() -> None:
    rows = [[1.0], [1.0, None, np.inf], None, [1.0, np.nan, 3.0], [1.0, 2.0, 3.0]]
    found = conformed(pa.array(rows, LIST))
    assert [letter.error for letter in found.dead_letters] == ["WrongLength", "WrongType", "NotFinite"]
    assert found.events.column("v").to_pylist() == [None, [1.0, 2.0, 3.0]]


@pytest.mark.parametrize(
    "values", [pa.array(["1,2,3"]), pa.array([7.5]), pa.array([["1", "2", "3"]]), pa.array([{"a": 1}])]
)
def test_other_types_are_no_vectors(values: pa.Array) -> None:
    [letter] = conformed(values).dead_letters
    assert letter.error == "WrongType"
    assert f"v: a value of type {values.type} is not allowed; expected: a vector of 3 numbers" in letter.detail


def test_branches_of_a_union_are_read_each_by_itself() -> None:
    lists, texts = pa.array([[1.0, 2.0, 3.0], [], [4.0, 5.0]], LIST), pa.array(["", "x", ""])
    found = conformed(pa.UnionArray.from_sparse(pa.array([0, 1, 0], pa.int8()), [lists, texts]))
    assert found.events.column("v").to_pylist() == [[1.0, 2.0, 3.0]]
    assert [letter.error for letter in found.dead_letters] == ["WrongType", "WrongLength"]
    assert "a value of type string" in found.dead_letters[0].detail


@pytest.mark.parametrize(
    ("sign", "texts"),
    [
        (",", ["1,2.5,-3e2", " 1 , 2.5 , -3e2 ", "[1, 2.5, -300]", " [1,2.5,-300.0]\n"]),
        (" ", ["1 2.5 -3e2", "  1   2.5\t-300\n", "[1.  2.5 -300. ]", "[ 1 2.5\n -300]"]),
        (";", ["1;2.5;-300", "+1;2.50;-3E+2"]),
        ("|", ["1|2.5|-300"]),
    ],
)
def test_numbers_in_one_text_are_a_vector(sign: str, texts: list[str]) -> None:
    found = conformed(pa.array([*texts, None]), sign=sign)
    assert found.dead_letters == []
    assert found.events.column("v").to_pylist() == [[1.0, 2.5, -300.0]] * len(texts) + [None]


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("1,2", "WrongLength", "v: a text whose numbers are 2 is not allowed; expected: a vector of 3 numbers"),
        ("1,2,3,4", "WrongLength", "v: a text whose numbers are 4 is not"),
        ("", "WrongLength", "v: a text whose numbers are 1 is not"),
        ("1,x,3", "WrongType", "v: 'x' as number 2 is not allowed; expected: a vector of 3 numbers"),
        ("1,2,", "WrongType", "v: '' as number 3 is not"),
        ("1,2,NA", "WrongType", "v: 'NA' as number 3 is not"),
        ("0x10,2,3", "WrongType", "v: '0x10' as number 1 is not"),
        ("1,nan,3", "NotFinite", "v: nan as number 2 is not"),
        ("1,2,-inf", "NotFinite", "v: -inf as number 3 is not"),
    ],
)
def test_texts_that_are_no_vector_are_dead_letters(text: str, error: str, says: str) -> None:
    found = conformed(pa.array(["1,2,3", text, "4,5,6"]), sign=",")
    assert [(letter.error, letter.payload) for letter in found.dead_letters] == [(error, b"e1")]
    assert found.dead_letters[0].detail.startswith(says)
    assert found.events.column("v").to_pylist() == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]


def test_what_is_no_text_is_told_where_a_text_is_expected() -> None:
    [letter] = conformed(pa.array([[1.0, 2.0, 3.0]], LIST), sign=",").dead_letters
    assert "v: a value of type list<item: double> is not allowed; expected: a vector of 3 numbers" in letter.detail
