"""A sample of a model's inputs in every format that events may have: one table."""

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.publishing.description import CannotPublish
from models.publishing.samples import read_sample
from tests.pipeline.jobs.flows import container

ROWS = [{"amount": 1.5, "n": 7, "city": "Köln"}, {"amount": 2.25, "n": 8, "city": "x;y"}]
TABLE = pa.Table.from_pylist(ROWS)
FIELDS = [{"name": "amount", "type": "double"}, {"name": "n", "type": "long"}, {"name": "city", "type": "string"}]


def parquet() -> bytes:
    stream = io.BytesIO()
    pq.write_table(TABLE, stream)
    return stream.getvalue()


def arrow(stream_format: bool) -> bytes:
    stream = io.BytesIO()
    with (pa.ipc.new_stream if stream_format else pa.ipc.new_file)(stream, TABLE.schema) as writer:
        writer.write_table(TABLE)
    return stream.getvalue()


GERMAN = 'amount;n;city\r\n1,5;7;Köln\r\n2,25;8;"x;y"\r\n'
CONTENTS = {
    "rows.parquet": parquet(),
    "rows.arrow": arrow(False),
    "rows.arrows": arrow(True),
    "rows.csv": b'amount,n,city\n1.5,7,K\xc3\xb6ln\n2.25,8,"x;y"\n',
    "german.csv": GERMAN.encode("cp1252"),
    "utf-16.csv": GERMAN.encode("utf-16"),
    "rows.tsv": "amount\tn\tcity\n1.5\t7\tKöln\n2.25\t8\tx;y\n".encode(),
    "rows.jsonl": b"".join(json.dumps(row).encode() + b"\n" for row in ROWS),
    "rows.json": json.dumps(ROWS, indent=1).encode(),
    "rows.avro": container(ROWS, {"type": "record", "name": "Row", "fields": FIELDS}),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_sample_is_the_same_table_in_every_format(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(CONTENTS[name])
    assert read_sample(tmp_path / name).to_pylist() == ROWS


def test_texts_of_a_csv_stay_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"code;amount\n007;1,5\n")
    assert read_sample(tmp_path / "rows.csv", ["code"]).to_pylist() == [{"code": "007", "amount": 1.5}]


BROKEN = {
    "null.jsonl": b'{"amount": 1}\nnull\n',
    "deep.json": b"[" * 100_000,
    "huge.json": b'[{"amount": 1' + b"0" * 30 + b"}]",
    "text.arrow": b"amount",
    "text.json": b"amount",
    "mixed.json": b'[{"amount": 1}, {"amount": "x"}]',
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_sample_is_refused_in_words(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(BROKEN[name])
    with pytest.raises(CannotPublish, match=r"is not readable: .*; expected: a .parquet, .arrow, .csv, .json or .avro"):
        read_sample(tmp_path / name)
