"""Profiles are untrusted: whatever is wrong with one, `InvalidProfile` names it, and no other error is raised."""

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.profiles import MAX_PROFILE_BYTES, InvalidProfile, build_profile, parse_profile, serialise_profile

PROFILE = build_profile(
    pa.record_batch({"b": [True, False, None], "t": ["a", "b", "a"], "x": [1.0, 2.0, None]}), ["b", "t", "x"]
)
RAW = serialise_profile(PROFILE)
BOOLEANS, TEXTS, NUMBERS = 0, 1, 2


def changed(column: int, **values: object) -> bytes:
    document = json.loads(RAW)
    document["columns"][column].update(values)
    return json.dumps(document).encode()


def altered(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(RAW)
    change(document)
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (changed(NUMBERS, n=4), "n"),
        (changed(NUMBERS, edges=[2.0, 1.0, 3.0]), "edges"),
        (changed(NUMBERS, edges=[1.0, 1.0, 3.0]), "edges"),
        (changed(NUMBERS, counts=[1, 1]), "counts"),
        (changed(NUMBERS, mean=None), "mean"),
        (changed(NUMBERS, mean=9.0), "mean"),
        (changed(NUMBERS, nulls=3, counts=[0, 0, 0, 0]), "mean"),
        (changed(TEXTS, values=["a", "a"]), "values"),
        (changed(TEXTS, counts=[3]), "counts"),
        (changed(BOOLEANS, values=["yes", "no"]), "values"),
    ],
)
def test_contradiction_is_named_with_its_path(raw: bytes, path: str) -> None:
    with pytest.raises(InvalidProfile, match=r"; expected: ") as caught:
        parse_profile(raw)
    assert caught.value.path.startswith("profile.columns[")
    assert caught.value.path.endswith(f"].{path}")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        RAW[:-5],
        changed(NUMBERS, kind="histogram"),
        changed(NUMBERS, surprise=1),
        changed(NUMBERS, n=-1),
        changed(NUMBERS, n=2**60),
        changed(NUMBERS, n=True),
        changed(NUMBERS, n=3.5),
        changed(NUMBERS, edges=[1.0] * 10_000),
        changed(NUMBERS, name=""),
        changed(TEXTS, type="bytes"),
        RAW.replace(b"1.0", b"NaN"),
        RAW.replace(b"1.0", b"1e999"),
        altered(lambda document: document.update(format=3)),
        altered(lambda document: document.pop("columns")),
    ],
)
def test_file_that_is_no_profile_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidProfile, match="expected: a profile as JSON, format 1"):
        parse_profile(raw)


def test_repeated_or_unsorted_columns_are_refused() -> None:
    first, second, _ = json.loads(RAW)["columns"]
    for columns in ([first, first], [second, first]):
        raw = json.dumps({"format": 1, "columns": columns}).encode()
        with pytest.raises(InvalidProfile, match="each column once, sorted by name"):
            parse_profile(raw)


def test_too_many_columns_are_refused() -> None:
    def repeat(document: dict[str, Any]) -> None:
        column = document["columns"][NUMBERS]
        document["columns"] = [{**column, "name": f"x{number:05}"} for number in range(5_000)]

    with pytest.raises(InvalidProfile, match="at most 4096 columns"):
        parse_profile(altered(repeat))


def test_oversized_document_is_refused_before_it_is_read() -> None:
    with pytest.raises(InvalidProfile, match="at most"):
        parse_profile(b" " * (MAX_PROFILE_BYTES + 1))


def test_message_is_one_line() -> None:
    with pytest.raises(InvalidProfile) as caught:
        parse_profile(changed(TEXTS, name="a\nb", n=99))
    assert "\n" not in str(caught.value)


@given(st.integers(0, len(RAW) - 1), st.integers(0, 255))
def test_a_corrupt_byte_is_refused_or_gives_a_consistent_profile(offset: int, byte: int) -> None:
    raw = bytearray(RAW)
    raw[offset] = byte
    try:
        profile = parse_profile(bytes(raw))
    except InvalidProfile:
        return
    assert [sum(column.cells) for column in profile.columns] == [column.n for column in profile.columns]
