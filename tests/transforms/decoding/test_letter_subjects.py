"""Whom a record is about of which another value did not fit: as the same record says it once it is mended."""

import json
from dataclasses import replace

import pytest

from schemas.formats.csv_rows import CsvTable, schema_of
from schemas.job import EventsSpec
from transforms.decoding.letter_subjects import subject_within

SPEC = EventsSpec("", "json", "id", "at", "who", 0, (), (0, 0), "us")
TABLE = CsvTable(("id", "who", "delay"), ";", nulls=("-",))
WITHOUT_QUOTES = TABLE._replace(quote="", encoding="latin-1")


@pytest.mark.parametrize(
    ("payload", "table", "whom"),
    [
        (b"a;N14228;slow", TABLE, "N14228"),
        (b'a;"Ann; of ""York""\nand Kent";slow', TABLE, 'Ann; of "York"\nand Kent'),
        (b'a;"Ann";slow', WITHOUT_QUOTES, '"Ann"'),
        ("a;Jos\xe9;slow".encode("latin-1"), WITHOUT_QUOTES, "Jos\xe9"),
        (b"a;007;slow", TABLE, "007"),
        (b"a;-;slow", TABLE, None),
        (b"a;;slow", TABLE, None),
        (b"a;N14228", TABLE, None),
        (b"a;N14228;slow;x", TABLE, None),
        (b'a;"N14228;slow', TABLE, None),
        (b"a;\xff;slow", TABLE, None),
    ],
)
def test_of_a_csv_record(payload: bytes, table: CsvTable, whom: str | None) -> None:
    assert subject_within(payload, replace(SPEC, format="csv"), schema_of(table)) == whom


def test_of_other_formats() -> None:
    assert subject_within(json.dumps({"who": 7, "delay": "slow"}).encode(), SPEC) == "7"
    assert subject_within(b"a;N14228;slow", replace(SPEC, format="csv"), "{") is None
    assert subject_within(_example(), replace(SPEC, format="tfexample")) == "N14228"
    assert subject_within(b"\x07\x07", replace(SPEC, format="tfexample")) is None
    assert subject_within(b"x", replace(SPEC, format="avro")) is None


def _example() -> bytes:
    """One whose `delay` has several values."""
    from tensorflow.core.example.example_pb2 import Example

    example = Example()
    example.features.feature["who"].bytes_list.value.append(b"N14228")
    example.features.feature["delay"].float_list.value.extend([1.0, 2.0])
    return bytes(example.SerializeToString())
