"""An audit is read whatever version of Halflife wrote it; what cannot be read is named and passed over."""

import os
from pathlib import Path

import pytest

from audit.files.audit import Audit, NoAudit, ReceiptFilter
from tests.audit.containers import receipt, schema_of, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An audit of 100 receipts in two files; event e3 has a second receipt, of a shadow."""
    write(tmp_path / "receipts" / "a.avro", map(receipt, range(60)), sync_interval=2000)
    shadow = receipt(3, score_id="5" * 32, version="v2", role="shadow")
    write(tmp_path / "receipts" / "b.avro", [*map(receipt, range(60, 100)), shadow])
    return tmp_path


def test_receipts_are_found_by_each_of_their_names(folder: Path) -> None:
    audit = Audit(str(folder))
    assert [(one.receipt["version"], one.file, one.row) for one in audit.find("event_id", "e3")] == [
        ("v1", "receipts/a.avro", 3),
        ("v2", "receipts/b.avro", 40),
    ]
    assert [one.receipt["event_id"] for one in audit.find("score_id", f"{77:032x}")] == ["e77"]
    assert len(audit.find("subject", "N1")) == len([n for n in range(100) if n % 7 == 1])
    assert audit.find("event_id", "e") == audit.find("subject", "e3") == []
    assert str(audit.looked_through) == "101 receipts in 2 files, of which 0 unreadable"


def test_a_receipt_has_what_was_written(folder: Path) -> None:
    [found] = Audit(str(folder)).find("event_id", "e42")
    later = {"job", "run", "definitions", "release_digest", "lookups", "base_value", "key_id"}
    assert dict(found.receipt) == receipt(42) | dict.fromkeys(later)


def test_a_scan_yields_what_is_wanted(folder: Path) -> None:
    audit, start = Audit(str(folder)), int(receipt(0)["event_time"])
    hour = ReceiptFilter(decision="late", since_us=start + 55_000_000, until_us=start + 58_000_000)
    assert [one.receipt["event_id"] for one in audit.scan(hour)] == ["e55", "e56", "e57"]
    assert [one.receipt["event_id"] for one in audit.scan(ReceiptFilter(version="v2"))] == ["e3"]
    assert [one.receipt["version"] for one in audit.scan(ReceiptFilter(event_ids=("e3", "e9")))] == ["v1", "v1", "v2"]
    assert len(list(audit.scan())) == 101
    assert sum(rows.num_rows for rows in audit.columns(["role"])) == 101


@pytest.mark.parametrize("earlier", [1, 2])
def test_files_of_earlier_schemas_are_read(tmp_path: Path, earlier: int) -> None:
    schema = schema_of("Receipt", earlier)
    names = {field["name"] for field in schema["fields"]}
    reason = {"feature": "delay", "contribution": 0.5}
    rows = [{name: value for name, value in receipt(n, reasons=[reason]).items() if name in names} for n in range(9)]
    write(tmp_path / "receipts" / "old.avro", rows, schema)
    [found] = Audit(str(tmp_path)).find("event_id", "e7")
    assert found.receipt == receipt(7, reasons=[reason | {"code": None}]) | {
        name: None for name in found.receipt if name not in receipt(7)
    }


def test_model_events_are_read(tmp_path: Path) -> None:
    said = {"at": 5, "kind": "admitted", "model": "delays", "actor": "job", "reason": "", "evidence": "{}"}
    write(
        tmp_path / "models" / "a.avro",
        [said | {"version": "v1", "release": None}],
        schema_of("ModelEvent"),
        metadata={"halflife.job": "flights"},
    )
    [event] = Audit(str(tmp_path)).model_events()
    assert event == said | {"version": "v1", "release": None, "digest": None, "job": "flights", "run": None}


def _later(path: Path) -> None:
    schema = schema_of("Receipt")
    schema["fields"].append({"name": "soul", "type": "string"})
    write(path, [receipt(200, soul="x")], schema)


def _other(path: Path) -> None:
    event = {"at": 1, "kind": "retired", "model": "m", "actor": "x", "reason": "", "evidence": ""}
    write(path, [event], schema_of("ModelEvent"))


def _cut(path: Path) -> None:
    whole = write(path, map(receipt, range(200, 300))).read_bytes()
    path.write_bytes(whole[:-30])


def _flipped(path: Path) -> None:
    whole = bytearray(write(path, map(receipt, range(200, 300))).read_bytes())
    whole[-200] ^= 1
    path.write_bytes(whole)


HOSTILE = {
    "later": (_later, "its format is not known: a later Halflife"),
    "other": (_other, "it holds records ModelEvent; expected: records Receipt"),
    "cut": (_cut, "block is truncated"),
    "empty": (lambda path: path.write_bytes(b""), "it is empty"),
    "text": (lambda path: path.write_text("Obj, they said"), "not an Avro container file"),
    "pipe": (os.mkfifo, "a pipe"),
    "link": (lambda path: path.symlink_to("nowhere"), "a link that leads nowhere"),
    "flipped": (_flipped, ""),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_file_that_cannot_be_read_is_named_and_the_others_are_read(folder: Path, kind: str) -> None:
    make, why = HOSTILE[kind]
    make(folder / "receipts" / f"{kind}.avro")
    audit = Audit(str(folder))
    assert [one.file for one in audit.find("event_id", "e3")] == ["receipts/a.avro", "receipts/b.avro"]
    assert len(list(audit.scan())) >= 101
    assert list(audit.broken) == [f"receipts/{kind}.avro"]
    assert why in audit.broken[f"receipts/{kind}.avro"]
    assert audit.looked_through.unreadable == 1


def test_unfinished_files_are_no_part_of_an_audit(folder: Path) -> None:
    (folder / "receipts" / ".c.avro.here.halflife-of-1.partial").write_bytes(b"Obj\1")
    audit = Audit(str(folder))
    assert (len(list(audit.scan())), audit.broken) == (101, {})


def test_where_no_audit_is_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(NoAudit, match="holds no audit; expected: files of a job's"):
        Audit(str(tmp_path / "nothing")).check()
