"""CSV files as people have them: how they are written is guessed or stated, and a bad row costs itself only."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from typing import Any

import pyarrow.parquet as pq
import pytest
from backports import zstd

from tests.pipeline.jobs.flows import Flow, Outcome

PLAIN = b"""id,at,delay,distance,carrier
a,2013-01-01 00:00:00,1.5,7,A
007,2013-01-01T00:01:00Z,,8,NA
c,2013-01-01T01:02:00+01:00,NA,9,
d,2013-01-01 00:03:00.25,2,10,""
"""
FEATURES = {"a": (1.5, 7, "A"), "007": (None, 8, "NA"), "c": (None, 9, None), "d": (2.0, 10, "")}
GERMAN = (
    "id;at;delay;distance;carrier;größe\r\n"
    "a;2013-01-01 00:00:00;1,5;7;Ä;ü\r\n"
    "b;2013-01-01 00:01:00;-2,25;8;ß;x\r\n"
)


def run(flow: Flow, content: bytes, name: str = "in.csv", **events: Any) -> Outcome:
    """A run whose spec does not state the format."""
    flow.feed(content, name)
    spec = flow.spec(**events)
    spec["features"] = ["delay", "distance", "carrier"]
    del spec["events"]["format"]
    return flow.run(spec)


def events(flow: Flow) -> dict[str, tuple[Any, ...]]:
    """The columns of each event by its id, of a run for training."""
    spec = flow.spec()
    spec["features"] = ["delay", "distance", "carrier"]
    del spec["events"]["format"]
    return features(flow, spec)


def features(flow: Flow, spec: Any) -> dict[str, tuple[Any, ...]]:
    from pipeline.training_set import write_features

    outcome = flow.run(spec, "--out", str(flow.root / "rows"), verb=write_features)
    assert outcome.code == 0, outcome.err
    rows = pq.ParquetDataset(flow.root / "rows").read().to_pylist()
    return {row["event_id"]: (row["delay"], row["distance"], row["carrier"]) for row in rows}


def test_plain_csv_is_read_without_a_word_of_its_form(flow: Flow) -> None:
    outcome = run(flow, PLAIN)
    assert outcome.summary["scored"] == 4
    assert "events.format: csv, guessed from" in outcome.err
    assert "delimiter ',', decimal '.', encoding 'utf-8'" in outcome.err
    assert outcome.summary["job"]["events"]["format"] == "csv"


def test_ids_and_texts_stay_as_they_are_written(flow: Flow) -> None:
    flow.feed(PLAIN, "in.csv")
    assert events(flow) == FEATURES


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8", "utf-8-sig", "utf-16"])
def test_delimiter_decimal_sign_and_encoding_are_guessed(flow: Flow, encoding: str) -> None:
    flow.feed(GERMAN.encode(encoding), "in.csv")
    assert events(flow) == {"a": (1.5, 7, "Ä"), "b": (-2.25, 8, "ß")}


BAD = b"""id,at,delay,distance,carrier
a,2013-01-01 00:00:00,1,7,A
b,2013-01-01 00:01:00,1,7
c,2013-01-01 00:02:00,1,7,A,extra
d,2013-01-01 00:03:00,1,7,"open
e,2013-01-01 00:04:00,1,7,\xff
f,2013-01-01 00:05:00,1,7,A\0
g,2013-01-01 00:06:00,1.5.0,7,A

h,2013-01-01 00:07:00,1,7.5x,A
i,yesterday,1,7,A
,2013-01-01 00:08:00,1,7,A
j,2013-01-01 00:09:00,1,7,"two
lines"
k,2013-01-01 00:10:00,inf,7,A
l,2013-01-01 00:11:00,1,7,"A"
"""
LETTERS = {
    3: ("MalformedCsv", "a record of 4 fields; expected: 5 fields", b"b,2013-01-01 00:01:00,1,7"),
    4: ("MalformedCsv", "a record of 6 fields; expected: 5 fields", b"c,2013-01-01 00:02:00,1,7,A,extra"),
    5: ("MalformedCsv", "a quoted field that does not end", b'd,2013-01-01 00:03:00,1,7,"open'),
    6: ("MalformedCsv", "bytes that are not utf-8", b"e,2013-01-01 00:04:00,1,7,\xff"),
    7: ("MalformedCsv", "a NUL byte", b"f,2013-01-01 00:05:00,1,7,A\0"),
    8: ("WrongType", "delay: '1.5.0' is not allowed; expected: a number", b"g,2013-01-01 00:06:00,1.5.0,7,A"),
    10: ("WrongType", "distance: '7.5x' is not allowed; expected: a number", b"h,2013-01-01 00:07:00,1,7.5x,A"),
    11: ("MalformedTime", "at: 'yesterday' is not allowed; expected: ", b"i,yesterday,1,7,A"),
    12: ("MissingValue", "id: None is not allowed; expected: ", b",2013-01-01 00:08:00,1,7,A"),
    15: ("NotFinite", "delay: inf is not allowed; expected: a finite number", b"k,2013-01-01 00:10:00,inf,7,A"),
}


@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_a_bad_row_is_one_letter_with_its_line_and_the_rest_is_read(flow: Flow, ends: bytes) -> None:
    outcome = run(flow, BAD.replace(b"\n", ends), csv={"encoding": "utf-8"})
    assert (outcome.code, outcome.summary["scored"], outcome.summary["records_read"]) == (0, 3, 13)
    letters = {int(each["detail"].partition(" line ")[2].partition(":")[0]): each for each in flow.letters()}
    for line, (error, says, payload) in LETTERS.items():
        assert (letters[line]["error"], letters[line]["payload"]) == (error, payload)
        assert says in letters[line]["detail"]
        assert f"in.csv line {line}: " in letters[line]["detail"]
    assert len(letters) == len(LETTERS)


COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstd.compress,
}


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_compressed_csv_is_read(flow: Flow, suffix: str) -> None:
    flow.feed(COMPRESSED[suffix](PLAIN), f"in.csv.{suffix}")
    assert events(flow) == FEATURES


def test_reading_continues_at_the_next_whole_line_after_damage(flow: Flow) -> None:
    rest = b"-01,x\ne,2013-01-01,1\nf,2013-01-01 00:00:00,1,2,A\n"
    members = [gzip.compress(each) for each in (PLAIN + b"torn,2013", PLAIN[30:60], rest)]
    broken = members[1][:20] + b"\xff" + members[1][21:]
    outcome = run(flow, members[0] + broken + members[2], "in.csv.gz")
    assert outcome.summary["scored"] == 5
    details = sorted(each["detail"] for each in flow.letters())
    assert len(details) == 3
    assert "gzip data that begin at byte" in details[0]
    assert "its last 9 bytes are not a whole line" in details[0]
    assert "the rest of a line that the damage broke" in details[1]
    assert "a record of 3 fields" in details[2]


def test_line_that_is_too_long_is_one_letter(flow: Flow) -> None:
    long = b"x,2013-01-01 00:00:00,1,7," + b"y" * (17 * 2**20) + b"\n"
    outcome = run(flow, PLAIN + long + b"z,2013-01-01 00:00:00,1,7,A\n")
    assert outcome.summary["scored"] == 5
    (letter,) = flow.letters()
    assert "line 6: a line of" in letter["detail"]
    assert "at most 16777216" in letter["detail"]
    assert len(letter["payload"]) == 16 * 2**20


STATED: dict[str, tuple[bytes, dict[str, Any]]] = {
    "no header": (PLAIN.partition(b"\n")[2], {"header": ["id", "at", "delay", "distance", "carrier"]}),
    "tabs": (PLAIN.replace(b",", b"\t"), {"delimiter": "\t"}),
    "quoted by another sign": (PLAIN.replace(b'""', b"''").replace(b"1.5", b"'1.5'"), {"quote": "'"}),
    "old line ends": (PLAIN.replace(b"\n", b"\r"), {}),
}


@pytest.mark.parametrize(("content", "form"), STATED.values(), ids=STATED)
def test_form_that_is_stated_is_obeyed(flow: Flow, content: bytes, form: dict[str, Any]) -> None:
    flow.feed(content, "in.csv")
    spec = flow.spec("csv", csv=form)
    spec["features"] = ["delay", "distance", "carrier"]
    assert features(flow, spec) == FEATURES


def test_stated_nulls_are_null_in_texts_too(flow: Flow) -> None:
    flow.feed(PLAIN.replace(b",NA,9", b",-,9"), "in.csv")
    spec = flow.spec("csv", csv={"nulls": ["NA", "-"]})
    spec["features"] = ["delay", "distance", "carrier"]
    assert features(flow, spec)["007"] == (None, 8, None)


def test_column_that_is_named_twice_is_named(flow: Flow) -> None:
    outcome = run(flow, PLAIN.replace(b"distance", b"delay", 1))
    assert outcome.code == 1
    assert "'delay' is the name of the columns 3 and 4 in the header" in outcome.err


def test_header_alone_is_no_record(flow: Flow) -> None:
    outcome = run(flow, PLAIN.partition(b"\n")[0])
    assert (outcome.code, outcome.summary["records_read"]) == (0, 0)


WRONG = {
    "encoding": ({"encoding": "klingon"}, "events.csv.encoding: 'klingon' is not allowed; expected: "),
    "delimiter": ({"delimiter": "ä"}, "events.csv.delimiter: 'ä' is not allowed; expected: one ASCII character"),
    "quote": ({"delimiter": ";", "quote": ";"}, "events.csv.quote: ';' is not allowed; expected: one ASCII character"),
    "decimal": ({"decimal": "'"}, 'events.csv.decimal: "\'" is not allowed; expected: a point or a comma'),
}


@pytest.mark.parametrize(("form", "says"), WRONG.values(), ids=WRONG)
def test_form_that_cannot_be_is_refused(flow: Flow, form: dict[str, Any], says: str) -> None:
    outcome = run(flow, PLAIN, csv=form)
    assert outcome.code == 2
    assert says in outcome.err
