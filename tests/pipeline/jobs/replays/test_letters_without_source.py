"""`halflife dead-letters replay` where the source is gone: what payloads are read by is in the audit."""

import csv
import io
import json
import random
import shutil
import string
import struct
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.verbs import main
from schemas.formats.tf_examples import masked_crc32c
from tests.pipeline.jobs.flows import MANIFEST, SCHEMA, START_US, Flow, container, read_avro, trip, trips
from transforms.decoding.written_schemas import MOST_STORED_BYTES, fingerprint, schema_event, schema_of_event

COLUMNS = {"delay": "number"}
ORIGIN = {"name": "origin", "type": "string", "default": "JFK"}
EVOLVED = {**SCHEMA, "fields": [ORIGIN, *reversed(SCHEMA["fields"])]}
Record = dict[str, Any]


def as_avro(records: list[Record], evolved: bool) -> bytes:
    if not evolved:
        return container(records)
    return container([{**record, "origin": "LGA"} for record in records], EVOLVED)


def as_csv(records: list[Record], evolved: bool) -> bytes:
    """Of the evolved form all fields are quoted, in another order, and there is one more."""
    names = ["origin", "delay", "at", "carrier", "distance", "id"] if evolved else list(records[0])
    out = io.StringIO()
    writer = csv.DictWriter(out, names, quoting=csv.QUOTE_ALL if evolved else csv.QUOTE_MINIMAL)
    writer.writeheader()
    writer.writerows([{**record, "origin": 'say "JFK",'} if evolved else record for record in records])
    return out.getvalue().encode()


def as_examples(records: list[Record], evolved: bool) -> bytes:
    """One of these needs no schema: its features have their names."""
    return b"".join(map(_framed, map(_example, records)))


def _framed(data: bytes) -> bytes:
    size = struct.pack("<Q", len(data))
    return size + struct.pack("<I", masked_crc32c(size)) + data + struct.pack("<I", masked_crc32c(data))


def _example(record: Record) -> bytes:
    features = b"".join(_field(1, _field(1, name.encode()) + _field(2, _value(value))) for name, value in record.items()
                        if value is not None)  # fmt: skip
    return _field(1, features)


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return _field(1, _field(1, value.encode()))
    if isinstance(value, float):
        return _field(2, _field(1, struct.pack("<f", value)))
    return _field(3, _field(1, _varint(value)))


def _varint(value: int) -> bytes:
    return bytes([value & 0x7F | 0x80]) + _varint(value >> 7) if value > 0x7F else bytes([value])


FORMATS: dict[str, Callable[[list[Record], bool], bytes]] = {"avro": as_avro, "csv": as_csv, "tfexample": as_examples}
LATE = 2_000  # a day and more after the first


def put(flow: Flow, version: str, nullable: bool, from_us: int) -> None:
    delay = {"name": "delay", "type": "number", "nullable": nullable, **({"default": 0.0} if nullable else {})}
    (flow.root / "payload").mkdir(exist_ok=True)
    flow.store.publish(flow.root / "payload", {**MANIFEST, "version": version, "inputs": [delay]})
    flow.store.append_release(champion=version, effective_from_us=from_us, by="tests")


def spec_of(flow: Flow, form: str, **events: Any) -> dict[str, Any]:
    # Of files whose forms differ the columns are stated; a spec that does not is completed by what the audit says.
    return {**flow.spec(form, **events), "features": ["delay"]}


def ran(flow: Flow, form: str) -> Flow:
    """Two files, written with two schemas, of which each has a trip that the version refuses, and one too late for the
    job's time range."""
    put(flow, "strict", False, 1)
    for number, evolved in enumerate((False, True)):
        first = 100 * number
        records = [*trips(5, first=first), trip(first + 9, delay=None), trip(LATE + number)]
        flow.feed(FORMATS[form](records, evolved), f"in.{number}")
    done = flow.run(spec_of(flow, form, time_range=["2013-01-01", "2013-01-02"], columns=COLUMNS))
    assert done.code == 0, done.err
    assert {stage: sum(errors.values()) for stage, errors in done.summary["dead_letter_errors"].items()} == {
        "decode": 2, "score": 2
    }  # fmt: skip
    put(flow, "kind", True, START_US)
    for file in flow.root.glob("in.*"):
        file.unlink()
    return flow


def replayed(flow: Flow, form: str) -> tuple[int, dict[str, Any], str]:
    done = flow.run(spec_of(flow, form), "--json", verb=lambda given: main(["dead-letters", "replay", *given]))
    return done.code, json.loads(done.out) if done.out.startswith("{") else {}, done.err


def ids(flow: Flow) -> Counter[str]:
    return Counter(each["event_id"] for each in read_avro(flow.root / "scores"))


@pytest.mark.parametrize("form", FORMATS)
def test_letters_are_scored_by_what_the_audit_says_they_are_read_by(flow: Flow, form: str) -> None:
    before = ids(ran(flow, form))
    code, report, err = replayed(flow, form)
    assert (code, report.get("scored"), report.get("kept"), report.get("read")) == (
        0, 4, [], "the letters' payloads"
    ), (report, err)  # fmt: skip
    names = {"t9": 0.0, "t109": 0.0, f"t{LATE}": LATE / 2, f"t{LATE + 1}": (LATE + 1) / 2}
    assert ids(flow) == before + Counter(list(names))
    receipts = {each["event_id"]: each for each in read_avro(flow.root / "audit" / "receipts")}
    assert {name: (receipts[name]["version"], receipts[name]["features"]["delay"]) for name in names} == {
        name: ("kind", delay) for name, delay in names.items()
    }
    assert replayed(flow, form)[1]["open"] == 0
    assert ids(flow) == before + Counter(list(names))


@pytest.mark.parametrize("form", ["avro", "csv"])
def test_letters_that_nothing_explains_are_kept_with_the_reason(flow: Flow, form: str) -> None:
    ran(flow, form)
    shutil.rmtree(flow.root / "audit" / "models")
    code, report, _ = replayed(flow, form)
    [decode, score] = report["kept"]
    assert (code, report["scored"], decode["letters"], score["letters"]) == (1, 0, 2, 2)
    assert decode["reason"] == score["reason"] == (
        "its source is gone, and no schema, or header, that the audit holds is one that its payload is read by"
    )


def test_a_letter_of_decoding_names_its_schema_and_the_audit_has_each_text_once(flow: Flow) -> None:
    ran(flow, "avro")
    said = [json.loads(each["evidence"]) for each in read_avro(flow.root / "audit" / "models")
            if each["kind"] == "schema_read"]  # fmt: skip
    texts = {each["schema"]: schema_of_event(each) for each in said}
    assert len(texts) == len(said) == 2
    assert {each["schema"] for each in flow.letters() if each["stage"] == "decode"} == set(texts)
    assert ["origin" in str(text) for text in texts.values()].count(True) == 1


def test_a_payload_that_two_schemas_read_differently_is_kept(flow: Flow) -> None:
    """Two columns of the same type changed their order: id and time are the same, the delay is not."""
    put(flow, "strict", False, 1)
    wide = {**SCHEMA, "fields": [*SCHEMA["fields"], {"name": "more", "type": ["null", "double"]}]}
    swapped = {**wide, "fields": [*SCHEMA["fields"][:2], wide["fields"][5], *SCHEMA["fields"][3:], SCHEMA["fields"][2]]}
    flow.feed(container([{**each, "more": 1.0} for each in [*trips(3), trip(9, delay=None)]], wide), "in.0")
    flow.feed(container([{**each, "more": 1.0} for each in trips(3, first=20)], swapped), "in.1")
    assert flow.run(spec_of(flow, "avro", columns=COLUMNS)).code == 0
    put(flow, "kind", True, START_US)
    for file in flow.root.glob("in.*"):
        file.unlink()
    code, report, _ = replayed(flow, "avro")
    reason = "its source is gone, and its payload is read by several schemas, or headers, that the audit holds"
    assert (code, [each["reason"] for each in report["kept"]]) == (1, [reason])


def text_of(letters: str) -> str:
    return json.dumps({"type": "record", "name": "R", "doc": letters, "fields": []})


def test_a_schema_of_five_megabytes_is_kept_if_it_can_be_compressed_and_never_trusted_unread() -> None:
    drawn = random.Random(1)
    large = text_of("columns of a table " * 260_000)
    noise = text_of("".join(drawn.choices(string.ascii_letters + string.digits, k=5_000_000)))
    for schema, kept in ((text_of("a"), True), (large, True), (noise, False)):
        [evidence] = schema_event(schema, "avro", 7).column("evidence").to_pylist()
        said = json.loads(evidence)
        assert said["schema"] == fingerprint(schema)
        assert schema_of_event(said) == (schema if kept else None)
        assert len(evidence) < MOST_STORED_BYTES + 1_000
        assert schema_of_event({**said, "schema": fingerprint("other")}) is None
