"""Parquet and Arrow files: only what is needed is read, each type has its meaning, and damage costs its part."""

import io
import uuid
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from pipeline.endpoints.files.source import form_of, read_file
from schemas.job import EventsSpec
from tests.pipeline.jobs.flows import START_US, Flow, Outcome, trips
from transforms.decoding.decode_raw import decode_raw

ROWS = 10


def table(**changes: Any) -> pa.Table:
    columns: dict[str, Any] = {
        "id": [f"t{number}" for number in range(ROWS)],
        "at": pa.array(START_US + np.arange(ROWS) * 60_000_000).cast(pa.timestamp("us", "UTC")),
        "delay": [number / 2 for number in range(ROWS)],
        "distance": pa.array(range(ROWS), pa.int32()),
        "carrier": pa.array(["A", "B"] * (ROWS // 2)).dictionary_encode(),
    }
    return pa.table({**columns, **changes})


def parquet(rows: pa.Table, **options: Any) -> bytes:
    stream = io.BytesIO()
    pq.write_table(rows, stream, row_group_size=4, **options)
    return stream.getvalue()


def arrow_file(rows: pa.Table) -> bytes:
    stream = io.BytesIO()
    with pa.ipc.new_file(stream, rows.schema) as writer:
        writer.write_table(rows, max_chunksize=4)
    return stream.getvalue()


def arrow_stream(rows: pa.Table) -> bytes:
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, rows.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(rows, max_chunksize=4)
    return stream.getvalue()


def run(flow: Flow, content: bytes, name: str = "in.0", **events: Any) -> Outcome:
    flow.feed(content, name)
    spec = flow.spec(**events)
    del spec["events"]["format"]
    return flow.run(spec)


WRITTEN: dict[str, Callable[[], bytes]] = {
    **{codec: partial(parquet, table(), compression=codec) for codec in ("snappy", "zstd", "gzip", "lz4")},
    "brotli of version 1": lambda: parquet(table(), compression="brotli", version="1.0", data_page_version="2.0"),
    "an Arrow file": lambda: arrow_file(table()),
    "an Arrow stream": lambda: arrow_stream(table()),
}


@pytest.mark.parametrize("write", WRITTEN.values(), ids=WRITTEN)
def test_columnar_files_are_read(flow: Flow, write: Callable[[], bytes]) -> None:
    outcome = run(flow, write())
    assert (outcome.code, outcome.summary["scored"], flow.letters()) == (0, ROWS, [])


def events_of(flow: Flow, content: bytes, **changes: Any) -> tuple[list[dict[str, Any]], list[Any]]:
    """Events and letters of a file, decoded in this process."""
    flow.feed(content, "in.0")
    columns = (("delay", "number"), ("distance", "integer"), ("carrier", "string"))
    given: dict[str, Any] = {"format": "parquet", "subject": None, "columns": columns, **changes}
    spec = EventsSpec("", given["format"], "id", "at", given["subject"], 0, given["columns"], (0, 2**52), "us")
    events, letters = list[dict[str, Any]](), list[Any]()
    for block in read_file(str(flow.root / "in.0"), spec.format, form_of(spec)):
        decoded = decode_raw(block, spec, 0)
        events += [] if decoded.events is None else decoded.events.to_pylist()
        letters += decoded.letters
    return events, letters


def test_columns_that_no_one_needs_are_not_read(flow: Flow) -> None:
    whole = parquet(table(other=["x" * 1000] * ROWS), use_dictionary=False, compression="none")
    content = whole.replace(b"x" * 1000, b"\xff" * 1000)
    events, letters = events_of(flow, content)
    assert (len(events), letters) == (ROWS, [])
    _, letters = events_of(flow, content, columns=(("other", "string"),))
    assert len(letters) == ROWS


VALUES: dict[str, tuple[Any, Any, Any]] = {
    "decimal": ("delay", pa.array([Decimal("1.25")] * ROWS), 1.25),
    "small floats": ("delay", pa.array([1.5] * ROWS, pa.float16()), 1.5),
    "unsigned": ("distance", pa.array([7] * ROWS, pa.uint64()), 7),
    "large texts": ("carrier", pa.array(["A"] * ROWS, pa.large_string()), "A"),
    "bytes": ("carrier", pa.array([b"\xfc"] * ROWS), "ü"),
    "uuid": ("carrier", pa.array([uuid.UUID(int=5).bytes] * ROWS, pa.uuid()), str(uuid.UUID(int=5))),
    "nulls": ("carrier", pa.nulls(ROWS), None),
}


@pytest.mark.parametrize("write", [parquet, arrow_file])
@pytest.mark.parametrize(("name", "column", "value"), VALUES.values(), ids=VALUES)
def test_type_of_arrow_is_read(flow: Flow, write: Any, name: str, column: Any, value: Any) -> None:
    format_name = "parquet" if write is parquet else "arrow"
    events, letters = events_of(flow, write(table(**{name: column})), format=format_name)
    assert [event[name] for event in events] == [value] * ROWS
    assert letters == []


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_timestamps_of_every_unit_are_read(flow: Flow, unit: str, zone: str | None) -> None:
    whole = pa.array([START_US] * ROWS).cast(pa.timestamp("us", zone)).cast(pa.timestamp(unit, zone))
    events, _ = events_of(flow, arrow_file(table(at=whole)), format="arrow")
    assert {event["__event_time"].timestamp() for event in events} == {START_US / 1e6}


def test_path_leads_into_structs_unless_a_field_has_that_name(flow: Flow) -> None:
    address = pa.array([{"address": {"zip": f"z{number}"}} if number else None for number in range(ROWS)])
    both = table(user=address, **{"a.b": ["literal"] * ROWS}, a=pa.array([{"b": "within"}] * ROWS))
    columns = (("user.address.zip", "string"), ("a.b", "string"))
    events, letters = events_of(flow, parquet(both), columns=columns)
    assert [event["user.address.zip"] for event in events] == [None, *(f"z{number}" for number in range(1, ROWS))]
    assert {event["a.b"] for event in events} == {"literal"}
    assert letters == []


def test_value_that_does_not_fit_is_one_letter_with_its_row(flow: Flow) -> None:
    outcome = run(flow, parquet(table(delay=[*range(6), float("inf"), 7, 8, 9], id=[*"abcd", None, *"efghi"])))
    letters = sorted(flow.letters(), key=lambda each: each["detail"])
    assert outcome.summary["scored"] == ROWS - 2
    assert letters[0]["error"] == "MissingValue"
    assert "in.0 row group 1, row 5: id: None is not allowed" in letters[0]["detail"]
    assert "in.0 row group 1, row 7: delay: inf is not allowed; expected: a finite number" in letters[1]["detail"]
    assert b'"id":"f"' in letters[1]["payload"]


def test_text_that_is_no_utf8_is_one_letter(flow: Flow) -> None:
    texts = pa.array([b"A"] * 6 + [b"\xff\xfe"] + [b"A"] * 3).view(pa.string())
    events, letters = events_of(flow, parquet(table(carrier=texts)))
    assert len(events) == ROWS - 1
    assert "row 7: carrier: b'\\xff\\xfe' is not allowed; expected: a text in UTF-8" in letters[0].detail


def damaged_page(content: bytes, column: int) -> bytes:
    """The file with broken bytes in a column of its second row group."""
    chunk = pq.read_metadata(io.BytesIO(content)).row_group(1).column(column)
    start, size = int(chunk.data_page_offset), int(chunk.total_compressed_size)
    return content[:start] + b"\xff" * size + content[start + size :]


DAMAGED: dict[str, tuple[bytes, int, str]] = {
    "page": (damaged_page(parquet(table(), use_dictionary=False), 2), 6, "damaged: rows 5 to 8 are lost"),
    "footer": (parquet(table())[:-10], 0, "the Parquet file is cut off: it ends at byte"),
    "key": (parquet(table())[:-4] + b"PARE", 0, "the Parquet file is encrypted; expected: a file that can be read"),
    "Arrow file cut": (arrow_file(table())[:-700], 8, "the Arrow data end after record batch 1"),
    "Arrow stream cut": (arrow_stream(table())[:-200], 8, "the Arrow data end after record batch 1"),
    "Feather 1": (b"FEA1" + bytes(100), 0, "Feather of version 1; expected: Feather of version 2"),
}


@pytest.mark.parametrize(("content", "read", "says"), DAMAGED.values(), ids=DAMAGED)
def test_damage_is_one_letter_and_the_rest_is_read(flow: Flow, content: bytes, read: int, says: str) -> None:
    format_name = "arrow" if "Arrow" in says or "Feather" in says else "parquet"
    events, letters = events_of(flow, content, format=format_name)
    assert len(events) == read
    (letter,) = letters
    assert letter.error == "UnreadableInput"
    assert says in letter.detail
    assert f"{flow.root}/in.0@" in letter.detail


def test_column_that_the_file_has_twice_is_named(flow: Flow) -> None:
    twice = table().append_column("delay", pa.array(range(ROWS)))
    outcome = run(flow, parquet(twice))
    assert outcome.code == 1
    assert "several columns are called 'delay'" in outcome.err


def test_files_may_differ_in_their_columns_and_types(flow: Flow) -> None:
    flow.feed(parquet(table()), "in.0")
    other = table(id=[f"u{number}" for number in range(ROWS)], delay=pa.array(range(ROWS))).drop(["distance"])
    outcome = run(flow, parquet(other.append_column("new", pa.array(range(ROWS)))), "in.1")
    assert (outcome.summary["scored"], flow.letters()) == (2 * ROWS, [])
    outcome = run(flow, parquet(table(id=["v"] + [None] * 9, delay=["x"] * ROWS)), "in.2")
    details = {each["detail"].partition(": ")[2] for each in flow.letters()}
    assert "delay: 'x' is not allowed; expected: a number" in details


def test_same_content_gives_same_scores_in_every_format(flow: Flow) -> None:
    from tests.pipeline.jobs.flows import container, json_lines, read_avro

    rows = trips(ROWS)
    flat = pa.Table.from_pylist(rows)
    text = io.BytesIO()
    pa.csv.write_csv(flat, text)
    contents = {
        "csv": text.getvalue(),
        "parquet": parquet(flat),
        "json": json_lines(rows),
        "avro": container(rows),
        "arrow": arrow_file(flat),
    }
    found = {}
    for format_name, content in contents.items():
        flow.feed(content, "in.0")
        outcome = flow.run(flow.spec(format_name), "--sinks", "replace")
        assert outcome.code == 0, outcome.err
        scores = read_avro(flow.root / "scores")
        found[format_name] = {(each["score_id"], each["score"], each["event_time"]) for each in scores}
    assert len(found["avro"]) == ROWS
    assert all(scores == found["avro"] for scores in found.values())
