"""From the columns of a format to those of a job: what fits, and which one error is reported for what does not."""

import io
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pytest

from schemas import batches
from schemas.avro.files import AvroFileWriter
from schemas.job import EventsSpec
from schemas.records import avsc, record_batch
from transforms.decoding.conform import Conformed, conform

RANGE_US = (0, 4_102_444_800_000_000)  # 1970 until 2100
COLUMNS = (("x", "number"), ("n", "integer"), ("flag", "boolean"), ("text", "string"))
SPEC = EventsSpec("uri", "avro", "id", "at", "who", 0, COLUMNS, RANGE_US, "us")
SECONDS = EventsSpec("uri", "avro", "id", "at", "who", 0, COLUMNS, RANGE_US, "s")


def conformed(spec: EventsSpec = SPEC, rows: int = 1, **columns: Any) -> Conformed:
    """Conforms rows with an id, a time and the columns given; None leaves a column out."""
    base: dict[str, Any] = {"id": [f"e{row}" for row in range(rows)], "at": pa.array([1] * rows, pa.int64())}
    made = {name: value for name, value in {**base, **columns}.items() if value is not None}
    payloads = pa.array([f"raw{row}".encode() for row in range(rows)], pa.binary())
    return conform(pa.RecordBatch.from_pydict(made), payloads, spec, 5)


def refused(found: Conformed) -> list[tuple[str, str]]:
    """(error, column) of each dead letter, in the order of rows; each names the column and what is expected."""
    assert all("; expected: " in letter.detail for letter in found.dead_letters)
    return [(letter.error, letter.detail.split(":")[0]) for letter in found.dead_letters]


def test_row_that_fits_has_the_columns_of_the_job_in_their_order() -> None:
    found = conformed(x=[1], n=[2], flag=[True], text=["t"], who=[7], extra=["dropped"])
    assert found.dead_letters == []
    assert found.events.schema == batches.event_schema(COLUMNS)
    row = found.events.to_pylist()[0]
    expected = {
        "__event_id": "e0",
        "__subject": "7",
        "__payload": b"raw0",
        "__late": False,
        "x": 1.0,
        "n": 2,
        "flag": True,
    }
    assert row == expected | {"text": "t", "__event_time": row["__event_time"]}


def test_missing_feature_columns_and_nulls_are_null() -> None:
    row = conformed(x=pa.nulls(1), n=pa.array([None], pa.int32())).events.to_pylist()[0]
    assert [row[name] for name, _ in COLUMNS] == [None] * 4


@pytest.mark.parametrize("values", [[3, 12], pa.array([3, 12], pa.uint8()), ["3", "12"]])
def test_ids_are_texts_or_integers(values: Any) -> None:
    assert conformed(rows=2, id=values).events.column(batches.EVENT_ID).to_pylist() == ["3", "12"]


@pytest.mark.parametrize(
    ("ids", "errors"),
    [
        (None, ["MissingColumn"] * 2),
        (pa.array([None, ""], pa.string()), ["MissingValue"] * 2),
        (pa.array([1.5, None]), ["WrongType", "MissingValue"]),
        ([True, False], ["WrongType"] * 2),
    ],
)
def test_row_without_id_is_refused(ids: Any, errors: list[str]) -> None:
    found = conformed(rows=2, id=ids)
    assert refused(found) == [(error, "id") for error in errors]
    assert found.events.num_rows == 0


MOMENT = 1_357_000_000_000_000


@pytest.mark.parametrize(
    ("times", "spec"),
    [
        (pa.array([MOMENT]), SPEC),
        (pa.array([MOMENT // 10**6], pa.int32()), SECONDS),
        (pa.array([MOMENT / 10**6]), SECONDS),
        (pa.array([MOMENT // 10**6]).cast(pa.timestamp("s")), SPEC),
        (pa.array([MOMENT // 10**3]).cast(pa.timestamp("ms", "America/New_York")), SPEC),
        (pa.array([MOMENT * 10**3]).cast(pa.timestamp("ns", "UTC")), SPEC),
        (["2013-01-01T00:26:40Z"], SPEC),
        (["2013-01-01T01:26:40+01:00"], SPEC),
        (["2013-01-01 00:26:40"], SPEC),
        (["2013-01-01t00:26:40z"], SPEC),
        (["2013-01-01T01:26:40.000+01:00"], SPEC),
    ],
)
def test_times_of_every_kind_are_one_instant(times: Any, spec: EventsSpec) -> None:
    assert batches.times_us(conformed(spec, at=times).events).tolist() == [MOMENT]


def test_dates_are_their_first_instant() -> None:
    for kind in (pa.date32(), pa.date64()):
        days = pa.array([15_706], pa.int32()).cast(pa.date32()).cast(kind)
        assert batches.times_us(conformed(at=days).events).tolist() == [15_706 * 86_400_000_000]


FAR = 2**62
ABSURD = [
    pa.array([-2_208_988_800_000_000, 32_503_680_000_000_000]),  # 1900 and 3000
    ["1900-01-01T00:00:00Z", "3000-01-01T00:00:00Z"],
    pa.array([FAR, -FAR]),
    pa.array([FAR, -FAR]).cast(pa.timestamp("us", "UTC")),
    pa.array([FAR, -FAR]).cast(pa.timestamp("us")),
    pa.array([FAR, -FAR]).cast(pa.timestamp("ms")),
    pa.array([FAR, -FAR]).cast(pa.timestamp("s", "UTC")),
    pa.array([2**31 - 1, -(2**31)], pa.int32()).cast(pa.date32()),
    pa.array([1e300, -1e300]),
    pa.array([2**64 - 1, 2**63], pa.uint64()),
]


@pytest.mark.parametrize("times", ABSURD, ids=lambda values: str(getattr(values, "type", "texts")))
@pytest.mark.parametrize("spec", [SPEC, SECONDS], ids=["us", "s"])
def test_absurd_times_are_out_of_range_and_their_dead_letters_are_readable(times: Any, spec: EventsSpec) -> None:
    found = conformed(spec, rows=2, at=times)
    assert refused(found) == [("TimeOutOfRange", "at")] * 2
    stream = io.BytesIO()
    writer = AvroFileWriter(stream, avsc("DeadLetter"))
    writer.write(record_batch("DeadLetter", found.dead_letters))
    writer.close()
    read: Any = list(fastavro.reader(io.BytesIO(stream.getvalue())))
    assert [letter["payload"] for letter in read] == [b"raw0", b"raw1"]


def test_range_of_times_includes_its_first_and_excludes_its_last() -> None:
    found = conformed(rows=4, at=[RANGE_US[0] - 1, RANGE_US[0], RANGE_US[1] - 1, RANGE_US[1]])
    assert found.events.column(batches.EVENT_ID).to_pylist() == ["e1", "e2"]
    assert [letter.event_id for letter in found.dead_letters] == ["e0", "e3"]


@pytest.mark.parametrize(
    ("times", "error"),
    [
        (None, "MissingColumn"),
        (pa.array([None], pa.int64()), "MissingValue"),
        (["yesterday"], "MalformedTime"),
        ([str(MOMENT)], "MalformedTime"),
        (["1e300"], "MalformedTime"),
        ([""], "MalformedTime"),
        ([np.nan], "MalformedTime"),
        ([np.inf], "MalformedTime"),
        ([True], "MalformedTime"),
        ([[1]], "MalformedTime"),
    ],
)
def test_row_without_a_readable_time_is_refused(times: Any, error: str) -> None:
    assert refused(conformed(at=times)) == [(error, "at")]


def test_numbers_that_are_not_finite_are_refused_and_nulls_are_not() -> None:
    found = conformed(rows=4, x=[np.nan, np.inf, -np.inf, None])
    assert refused(found) == [("NotFinite", "x")] * 3
    assert found.events.column(batches.EVENT_ID).to_pylist() == ["e3"]


@pytest.mark.parametrize(
    ("column", "values"),
    [("x", ["1"]), ("x", [True]), ("n", [1.5]), ("n", ["1"]), ("flag", [1]), ("text", [1])],
)
def test_value_of_another_type_is_refused_with_its_column(column: str, values: list[Any]) -> None:
    columns: dict[str, Any] = {column: values}
    assert refused(conformed(**columns)) == [("WrongType", column)]


def test_first_error_of_a_row_names_it_and_other_rows_pass() -> None:
    found = conformed(rows=3, id=["", "b", "c"], at=[-1, 1, -1], x=[np.nan, 1.0, np.nan])
    assert refused(found) == [("MissingValue", "id"), ("TimeOutOfRange", "at")]
    assert [(letter.payload, letter.at_us, letter.stage) for letter in found.dead_letters] == [
        (b"raw0", 5, "decode"),
        (b"raw2", 5, "decode"),
    ]
    assert found.events.column(batches.PAYLOAD).to_pylist() == [b"raw1"]


@pytest.mark.parametrize("value", [1.5, True, {"a": 1}, [1], 2.0**53])
def test_subject_that_cannot_be_read_is_a_letter_and_never_null(value: Any) -> None:
    assert refused(conformed(who=[value])) == [("WrongType", "who")]


def test_subjects_that_are_null_are_null() -> None:
    assert conformed(who=[None]).events.column(batches.SUBJECT).to_pylist() == [None]
