"""Input in another format than the spec says: the message names the format that its bytes show."""

import gzip
import io
import struct

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.io.tfrecordio import _TFRecordUtil

from tests.pipeline.jobs.flows import COLUMNS, Flow, container, json_lines, said_nothing_of_python, trips

JSON, AVRO = json_lines(trips(3)), container(trips(3))


def parquet() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(trips(3)), stream)
    return stream.getvalue()


def tfrecord(record: bytes = b"\n\x00") -> bytes:
    def checksum(data: bytes) -> bytes:
        return struct.pack("<I", _TFRecordUtil._masked_crc32c(data))

    length = struct.pack("<Q", len(record))
    return length + checksum(length) + record + checksum(record)


INPUTS: dict[str, tuple[str, bytes, str]] = {
    "JSON as avro": ("avro", JSON, "next: --set events.format=json"),
    "JSON after a byte order mark as avro": ("avro", b"\xef\xbb\xbf \n" + JSON, "next: --set events.format=json"),
    "JSON as tfexample": ("tfexample", JSON, "next: --set events.format=json"),
    "Avro as json": ("json", AVRO, "next: --set events.format=avro"),
    "Avro as tfexample": ("tfexample", AVRO, "next: --set events.format=avro"),
    "TFRecord as json": ("json", tfrecord(), "next: --set events.format=tfexample"),
    "TFRecord as avro": ("avro", tfrecord(), "next: --set events.format=tfexample"),
    "Parquet as json": ("json", parquet(), "next: --set events.format=parquet"),
    "Parquet as avro": ("avro", parquet(), "next: --set events.format=parquet"),
    "gzip without its suffix": ("json", gzip.compress(JSON), "; gzip data (name it .gz)"),
    "gzip without its suffix as avro": ("avro", gzip.compress(JSON), "; gzip data (name it .gz)"),
    "JSON array as avro": ("avro", b"[" + JSON.strip().replace(b"\n", b",") + b"]", "next: --set events.format=json"),
    "UTF-16 as avro": ("avro", JSON.decode().encode("utf-16"), "text in UTF-16 is not read yet"),
    "CSV": ("json", b"id,at,delay\na,1,2\nb,2,3\n", "it looks like CSV; next: --set events.format=csv"),
    "JSON as csv": ("csv", JSON, "in.0 is not csv; it begins as json does; next: --set events.format=json"),
    "Parquet as csv": ("csv", parquet(), "next: --set events.format=parquet"),
    "CSV as parquet": ("parquet", b"id,at,delay\na,1,2\nb,2,3\n", "it looks like CSV; next: --set events.format=csv"),
    "JSON as arrow": ("arrow", JSON, "next: --set events.format=json"),
    "a word as parquet": ("parquet", b"word\n", "nothing in it is parquet"),
}


@pytest.mark.parametrize(("format_name", "content", "says"), INPUTS.values(), ids=INPUTS)
def test_other_format_is_named(flow: Flow, format_name: str, content: bytes, says: str) -> None:
    flow.feed(content)
    outcome = flow.run(flow.spec(format_name))
    assert outcome.code == 1
    assert said_nothing_of_python(outcome)
    assert says in outcome.err
    assert "events.columns" not in outcome.err


@pytest.mark.parametrize("kind", ["JSON as avro", "Avro as json", "TFRecord as json", "Parquet as avro", "CSV"])
def test_other_format_is_named_where_columns_are_stated(flow: Flow, kind: str) -> None:
    format_name, content, says = INPUTS[kind]
    flow.feed(content)
    outcome = flow.run(flow.spec(format_name, columns=COLUMNS))
    noted, failed = outcome.err.splitlines()
    assert (outcome.code, outcome.summary["scored"], says in noted) == (1, 0, True), outcome
    assert "none was scored: " in failed
    assert sum(outcome.summary["dead_letters"].values()) == outcome.summary["records_read"]


@pytest.mark.parametrize("others", [1, 3])
def test_one_readable_record_says_that_the_format_is_right(flow: Flow, others: int) -> None:
    flow.feed(container(trips(3)), "in.0")
    flow.feed(json_lines(trips(others)), "in.1")
    outcome = flow.run(flow.spec("json", columns=COLUMNS))
    assert (outcome.code, outcome.summary["scored"], outcome.err) == (0, others, "")


@pytest.mark.parametrize("content", [b"{\n{\n", b"\x00\x01\x02", b"Object, or not", b"word\nword\n"])
def test_input_whose_bytes_show_no_format_is_not_guessed(flow: Flow, content: bytes) -> None:
    flow.feed(content)
    outcome = flow.run(flow.spec("json"))
    assert outcome.code == 1
    assert "mend the input, or state events.columns to run nevertheless" in outcome.err
