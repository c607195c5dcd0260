"""Columns of lists read as vectors, and what is wrong with those that are none."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.formats.csv_values import read_column
from schemas.vectors import Vector, is_list, of_rows
from transforms.decoding.readings import Mask, by_branch, mask_of, nulls_of

Shows: TypeAlias = Callable[[int], str]
Lengths: TypeAlias = npt.NDArray[np.int64]
_ANY = pa.large_list(pa.float64())


class Fault(NamedTuple):
    """What is wrong with vectors: the rows, the error, what is expected, and what each of the rows has instead."""

    rows: Mask
    error: str
    allowed: str
    shows: Shows


def read_vectors(values: pa.Array, vector: Vector, sign: str | None = None) -> tuple[pa.Array, list[Fault]]:
    """The vectors of a column of lists of numbers, or of texts with this sign between the numbers; null where a row has
    none; and what is wrong with the others.

    A list of another length is a `WrongLength`; a null in it, or anything that is no list of numbers, a `WrongType`;
    NaN and infinity (also a number that 32 bits cannot hold) are `NotFinite`. No list is looked at one by one.
    """
    pieces = None if sign is None else _pieces(values, sign)
    lists = _lists(values) if pieces is None else _numbers_of(pieces)
    if pa.types.is_union(values.type) and sign is None:
        lists = by_branch(values, _ANY, lambda branch: _lists(branch).cast(_ANY))
    wanted = f"a vector of {vector.length} numbers"
    present = mask_of(lists.is_valid())
    lengths: Lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    short = present & (lengths != vector.length)
    length_of = "a list of length" if pieces is None else "a text whose numbers are"
    no_list = ~present & ~nulls_of(values)
    faults = [
        Fault(no_list, "WrongType", wanted, lambda row: f"a value of type {_type_of(values, row)}"),
        Fault(short, "WrongLength", wanted, lambda row: f"{length_of} {lengths[row]}"),
    ]
    whole = present & ~short
    items = (lists if whole.all() else lists.filter(pa.array(whole))).flatten()
    numbers, nulls = _numbers(items, vector)
    found = np.zeros((len(values), vector.length), vector.dtype) if not whole.all() else numbers
    if not whole.all():
        found[whole] = numbers
    if nulls is not None:
        at = _first(nulls, whole)
        odd_one = partial(_odd_one, pieces, at)
        faults.append(Fault(at >= 0, "WrongType", wanted, odd_one))
    if not np.isfinite(numbers).all():
        odd = ~np.isfinite(numbers) if nulls is None else ~np.isfinite(numbers) & ~nulls
        first = _first(odd, whole)
        faults.append(
            Fault(
                first >= 0,
                "NotFinite",
                f"{wanted} that are finite{'' if vector.element == 'float64' else ' in 32 bits'}",
                lambda row: f"{found[row, first[row]]} as number {first[row] + 1}",
            )
        )
    return of_rows(found, ~whole), [fault for fault in faults if fault.rows.any()]


def _numbers(items: pa.Array, vector: Vector) -> tuple[npt.NDArray[np.floating], Mask | None]:
    """The numbers of whole lists, shape (n, length), and which of them are null; None where none is."""
    nulls = items.is_null().to_numpy(zero_copy_only=False).reshape(-1, vector.length) if items.null_count else None
    known = items.cast(pa.float64()) if pa.types.is_null(items.type) else items
    known = known.fill_null(0) if known.null_count else known
    with np.errstate(over="ignore"):  # what 32 bits cannot hold becomes infinite, and is told
        numbers = known.to_numpy(zero_copy_only=False).astype(vector.dtype, copy=False)
    return numbers.reshape(-1, vector.length), nulls


def _first(odd: Mask, whole: Mask) -> Lengths:
    """For each row of the column the index of the first odd number of its list; -1 where there is none."""
    found = np.full(len(whole), -1, np.int64)
    found[whole] = np.where(odd.any(axis=1), odd.argmax(axis=1), -1)
    return found


def _lists(values: pa.Array) -> pa.Array:
    """Lists of numbers as they are; null for values of any other type."""
    if is_list(values.type) and _are_numbers(values.type.value_type):
        return values
    return pa.nulls(len(values), _ANY)


def _pieces(values: pa.Array, sign: str) -> pa.Array:
    """The texts cut at the sign, or at any space; brackets around them are no part of them. Null for no text."""
    texts = pc.utf8_trim_whitespace(by_branch(values, pa.string(), _texts))
    if pc.any(pc.starts_with(texts, "[")).as_py():
        texts = pc.utf8_trim_whitespace(pc.replace_substring_regex(texts, r"(?s)^\[(.*)\]$", r"\1"))
    if sign == " ":
        return pc.utf8_split_whitespace(texts)
    return pc.split_pattern(texts, sign)


def _texts(values: pa.Array) -> pa.Array:
    return values if pa.types.is_string(values.type) else pa.nulls(len(values), pa.string())


def _numbers_of(pieces: pa.Array) -> pa.Array:
    """Lists of numbers from lists of texts; a text that is none is null."""
    found = read_column(pc.utf8_trim_whitespace(pieces.flatten()), "number", ".", ()).values
    lengths = pc.fill_null(pc.list_value_length(pieces), 0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int64())
    mask = pieces.is_null() if pieces.null_count else None
    return pa.LargeListArray.from_arrays(offsets, found, mask=mask)


def _odd_one(pieces: pa.Array | None, at: Lengths, row: int) -> str:
    """What a row has at an index where a number is expected."""
    found = None if pieces is None else pieces[row][int(at[row])].as_py()
    return f"{'null' if found is None else repr(found):.80} as number {at[row] + 1}"


def _are_numbers(items: pa.DataType) -> bool:
    return bool(pa.types.is_floating(items) or pa.types.is_integer(items) or pa.types.is_null(items))


def _type_of(values: pa.Array, row: int) -> str:
    return str(values[row].type if not pa.types.is_union(values.type) else values[row].value.type)
