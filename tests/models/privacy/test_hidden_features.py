"""Names and values of features apart: against dictionaries, of maps of all shapes and of slices of them."""

import random
from hashlib import sha256
from typing import Any

import pyarrow as pa
import pytest

from models.privacy.hidden_features import name_digests, names_of_all, sealed_values, without_names, without_values
from models.privacy.receipts import decrypt_receipts, encrypt_receipts
from schemas.records import FEATURES_TYPE
from tests.models.privacy.receipts import datums, key_store, made_receipts, union_of


def maps(rows: list[list[tuple[str, Any]]]) -> pa.MapArray:
    entries = [entry for row in rows for entry in row]
    ends = [sum(len(row) for row in rows[:index]) for index in range(len(rows) + 1)]
    names = pa.array([name for name, _ in entries], pa.string())
    values = union_of([value for _, value in entries])
    return pa.MapArray.from_arrays(pa.array(ends, pa.int32()), names, values, type=FEATURES_TYPE)


def digest(names: list[str]) -> bytes:
    return sha256(b"".join(len(name.encode()).to_bytes(4) + name.encode() for name in names)).digest()


@pytest.mark.parametrize("widest", [0, 1, 2, 5])
def test_names_and_bytes_come_back_for_rows_of_any_names(widest: int) -> None:
    own = random.Random(widest)
    for _ in range(30):
        rows = [
            [
                (own.choice(["", "a", "b", "é"]), own.choice([None, 1, 0.5, "t", b"u"]))
                for _ in range(own.randint(0, widest))
            ]
            for _ in range(own.randrange(6))
        ]
        rows = [row[:1] for row in rows if row] if own.random() < 0.4 else rows
        features, sealed = maps(rows), [own.randbytes(own.randrange(4)) for _ in rows]
        assert name_digests(features) == [digest([name for name, _ in row]) for row in rows]
        assert without_names(features).to_pylist() == [[("", value) for _, value in row] for row in rows]
        stored = without_values(features, pa.array(sealed, pa.binary()), names_of_all(features))
        expected = [[("", each), *((name, None) for name, _ in row)] for each, row in zip(sealed, rows, strict=True)]
        assert stored.to_pylist() == expected
        found, names = sealed_values(stored)
        assert found == sealed
        assert names.to_pylist() == [each[1:] for each in expected]


def test_bytes_are_only_those_of_a_first_entry_without_a_name() -> None:
    rows: list[list[tuple[str, Any]]] = [
        [],
        [("", b"x")],
        [("a", b"x")],
        [("", "x")],
        [("a", 1), ("", b"x")],
        [("", None)],
    ]
    assert sealed_values(maps(rows))[0] == [None, b"x", None, None, None, None]


def test_slices_of_receipts_with_the_same_names_are_encrypted_as_the_whole() -> None:
    receipts, store = made_receipts(20, 1), key_store()
    index = receipts.schema.get_field_index("features")
    same = maps([[("a", row), ("b", "x")] for row in range(20)])
    receipts = receipts.set_column(index, receipts.schema.field(index), same)
    whole = encrypt_receipts(receipts, store.epochs(), store.keys_of, False)
    part = encrypt_receipts(receipts.slice(5, 9), store.epochs(), store.keys_of, False)
    assert datums(part) == datums(whole)[5:14]
    assert datums(decrypt_receipts(whole.slice(5, 9), store.find).receipts) == datums(receipts)[5:14]
