"""Event times as people write them: in a stated form, in local time, as numbers of any unit; equal in every format."""

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.endpoints.files.source import form_of, read_file
from schemas.formats.times.time_formats import fault_of, read_times
from schemas.job import EventsSpec
from schemas.times import parse_time_us
from tests.pipeline.jobs.flows import Flow, container, json_lines
from transforms.decoding.decode import decode_raw

NEW_YORK = {"time_zone": "America/New_York"}
LOCAL = ["2024-11-03 00:30:00", "2024-11-03 01:30:00", "2024-03-10 02:30:00", "2024-07-01 12:00:00"]
ONCE = {"t0": "2024-11-03T04:30:00Z", "t3": "2024-07-01T16:00:00Z"}
RULES = {
    "refuse": ONCE,
    "earlier": {**ONCE, "t1": "2024-11-03T05:30:00Z", "t2": "2024-03-10T06:59:59.999999Z"},
    "later": {**ONCE, "t1": "2024-11-03T06:30:00Z", "t2": "2024-03-10T07:00:00Z"},
}
SCHEMA = {
    "type": "record",
    "name": "Local",
    "fields": [{"name": "id", "type": "string"},
               {"name": "at", "type": {"type": "long", "logicalType": "local-timestamp-micros"}}],
}  # fmt: skip


def parquet(rows: pa.Table) -> bytes:
    stream = io.BytesIO()
    pq.write_table(rows, stream)
    return stream.getvalue()


def written(times: list[Any]) -> dict[str, bytes]:
    """Local times in every format: as text in CSV and JSON, as the format's own type in Parquet and Avro."""
    rows = [{"id": f"t{number}", "at": text} for number, text in enumerate(times)]
    stamps = pa.array(times).cast(pa.timestamp("us"))
    micros = stamps.cast(pa.int64()).to_pylist()
    return {
        "csv": b"id,at\n" + "".join(f"{row['id']},{row['at']}\n" for row in rows).encode(),
        "json": json_lines(rows),
        "parquet": parquet(pa.table({"id": [row["id"] for row in rows], "at": stamps})),
        "avro": container([{**row, "at": time_us} for row, time_us in zip(rows, micros, strict=True)], SCHEMA),
    }


def read(flow: Flow, content: bytes, format_name: str, **times: Any) -> tuple[dict[str, int], list[Any]]:
    """The times of the events of a file by their id (microseconds), and the letters; decoded in this process."""
    flow.feed(content, "in.0")
    unit = times.pop("time_unit", "us")
    spec = EventsSpec("", format_name, "id", "at", None, 0, (), (0, 2**52), unit, **times)  # type: ignore[arg-type]  # one of them
    events, letters = dict[str, int](), list[Any]()
    for block in read_file(str(flow.root / "in.0"), format_name, form_of(spec)):
        decoded = decode_raw(block, spec, 0)
        letters += decoded.letters
        if decoded.events is not None:
            rows = decoded.events.to_pydict()
            stamps = decoded.events.column("__event_time").cast(pa.int64()).to_pylist()
            events |= dict(zip(rows["__event_id"], stamps, strict=True))
    return events, letters


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("format_name", ["csv", "json", "parquet", "avro"])
def test_local_time_is_read_by_the_zone_and_its_rule(flow: Flow, format_name: str, rule: str) -> None:
    events, letters = read(flow, written(LOCAL)[format_name], format_name, time_ambiguous=rule, **NEW_YORK)
    assert events == {name: parse_time_us(text) for name, text in RULES[rule].items()}
    assert len(letters) == (2 if rule == "refuse" else 0)


def test_refused_local_time_is_a_letter_with_value_and_rule(flow: Flow) -> None:
    flow.feed(json_lines({"id": f"t{number}", "at": text, "delay": 1} for number, text in enumerate(LOCAL)))
    spec = flow.spec(columns={"delay": "number", "distance": "integer", "carrier": "string"}, **NEW_YORK)
    outcome = flow.run(spec)
    assert (outcome.code, outcome.summary["scored"]) == (0, 2), outcome.err
    assert outcome.summary["dead_letter_errors"] == {"decode": {"AmbiguousTime": 2}}
    details = sorted(each["detail"] for each in flow.letters())
    assert "at: '2024-03-10 02:30:00' is not allowed; expected: a time that clocks in America/New_York" in details[0]
    assert "next: --set events.time_ambiguous=earlier, or later" in details[1]


FORMS: dict[str, tuple[str, Any, str]] = {
    "German": ("%d.%m.%Y %H:%M", "31.1.2024 10:30", "2024-01-31T10:30:00Z"),
    "fraction": ("%d/%b/%Y:%H:%M:%S.%f", "05/Feb/2024:01:02:03.25", "2024-02-05T01:02:03.25Z"),
    "offset": ("%d/%b/%Y:%H:%M:%S %z", "05/feb/2024:01:02:03 -0530", "2024-02-05T06:32:03Z"),
    "American": ("%m/%d/%y %I:%M %p", "02/05/24 12:30 AM", "2024-02-05T00:30:00Z"),
    "day of the year": ("%Y%j", "2024366", "2024-12-31T00:00:00Z"),
    "date": ("date", "2024-02-29", "2024-02-29T00:00:00Z"),
    "a number by its digits": ("%Y%m%d", 20240229, "2024-02-29T00:00:00Z"),
    "digits that are a number": ("epoch", "1709164800000000", "2024-02-29T00:00:00Z"),
}  # fmt: skip


@pytest.mark.parametrize(("form", "value", "meant"), FORMS.values(), ids=FORMS)
def test_form_that_is_stated_is_read(flow: Flow, form: str, value: Any, meant: str) -> None:
    contents = {
        "json": json_lines([{"id": "a", "at": value}]),
        "csv": f"id,at\na,{value}\n".encode(),
        "parquet": parquet(pa.table({"id": ["a"], "at": [value]})),
    }
    for format_name, content in contents.items():
        assert read(flow, content, format_name, time_format=form) == ({"a": parse_time_us(meant)}, [])


BAD = [
    "30.02.2024 10:30",
    "31.01.2024",
    "31.01.2024 25:00",
    "2024-01-31T10:30:00Z",
    "31.01.2024 10:30 x",
    "",
    "٣١.01.2024 10:30",
]


def test_time_in_another_form_is_a_letter_with_the_form(flow: Flow) -> None:
    rows = [{"id": f"t{number}", "at": text} for number, text in enumerate([*BAD, "31.01.2024 10:30"])]
    events, letters = read(flow, json_lines(rows), "json", time_format="%d.%m.%Y %H:%M")
    assert list(events) == [f"t{len(BAD)}"]
    assert {letter.error for letter in letters} == {"MalformedTime"}
    allowed = "is not allowed; expected: a time in the form '%d.%m.%Y %H:%M' (events.time_format)"
    assert letters[0].detail.endswith(f"at: '30.02.2024 10:30' {allowed}")


UNITS = {"s": 1_709_164_800, "ms": 1_709_164_800_000, "ns": 1_709_164_800_000_000_999, "days": 19_782}


@pytest.mark.parametrize("unit", UNITS)
def test_numbers_of_every_unit_are_read(flow: Flow, unit: str) -> None:
    value = UNITS[unit]
    for format_name, content in {
        "json": json_lines([{"id": "a", "at": value}]),
        "csv": f"id,at\na,{value}\n".encode(),
        "parquet": parquet(pa.table({"id": ["a"], "at": [value]})),
    }.items():
        assert read(flow, content, format_name, time_unit=unit) == ({"a": 1_709_164_800_000_000}, [])


def test_days_with_a_fraction_are_times_of_day(flow: Flow) -> None:
    content = json_lines([{"id": "a", "at": 19_782.5}])
    assert read(flow, content, "json", time_unit="days") == ({"a": 1_709_208_000_000_000}, [])


def test_date_is_midnight_in_the_zone(flow: Flow) -> None:
    dates = pa.table({"id": ["a"], "at": pa.array([19_782], pa.date32())})
    assert read(flow, parquet(dates), "parquet", **NEW_YORK) == ({"a": 1_709_164_800_000_000 + 5 * 3_600_000_000}, [])


WRONG = {
    "a directive": ({"time_format": "%Y-%m-%d %Q"}, "events.time_format: '%Y-%m-%d %Q' is not allowed; expected: "),
    "no day": ({"time_format": "%H:%M"}, "(it does not say year, month and day)"),
    "half a day": ({"time_format": "%Y-%m-%d %I"}, "(%I and %p belong together)"),
    "a zone": ({"time_zone": "Mars/Olympus"}, "events.time_zone: 'Mars/Olympus' is not allowed; expected: the name of"),
    "a file": ({"time_zone": "../../etc/passwd"}, "events.time_zone: '../../etc/passwd' is not allowed; expected: "),
    "a rule": ({"time_ambiguous": "both"}, "events.time_ambiguous: 'both' is not allowed; allowed: earlier, "),
}  # fmt: skip


def test_forms_that_cannot_be_are_refused(flow: Flow) -> None:
    flow.feed(json_lines([{"id": "a", "at": 1}]))
    for events, says in WRONG.values():
        outcome = flow.run(flow.spec(**events))
        assert outcome.code == 2
        assert says in outcome.err


@pytest.mark.parametrize("text", ["%Y-%m-%d" * 2, "%", "%Y-%m", "%Y %d %%%", "(a+)+%Y%j$", "\n%Y%j\0"])
def test_any_text_is_a_form_or_is_refused(text: str) -> None:
    assert fault_of(text) or len(read_times(pa.array(["2024001", "x" * 100_000, None]), text).micros) == 3


def test_days_since_1970_are_recognised(flow: Flow) -> None:
    flow.feed(json.dumps({"id": "a", "at": 19_782, "delay": 1, "distance": 1, "carrier": "A"}).encode() + b"\n")
    outcome = flow.run(flow.spec())
    assert outcome.code == 2
    assert "next: --set events.time_unit=days" in outcome.err
    assert flow.run(flow.spec(time_unit="days")).summary["scored"] == 1
