"""An audit is read whatever version of Halflife wrote it; what cannot be read is named and passed over."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pytest

from audit.files.audit import Audit, NoAudit, ReceiptFilter
from benchmarks.audit.receipts import publish
from tests.audit.containers import receipt, schema_of, write
from tests.pipeline.commands.commands import halflife


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


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a stream leaves them: 300 files of few receipts, of two schemas, some empty, damaged, cut off or large."""
    root = tmp_path_factory.mktemp("many")
    for number in range(300):
        rows = [receipt(3 * number + n, version=f"v{number % 3}") for n in range(number % 4)]
        write(root / "receipts" / f"{number:04}.avro", rows, sync_interval=1 if number % 50 == 7 else 16_000)
    names = {field["name"] for field in schema_of("Receipt", 1)["fields"]}
    for number in (40, 41, 200):
        old = [{name: value for name, value in receipt(3 * number, version="v0").items() if name in names}]
        write(root / "receipts" / f"{number:04}.avro", old, schema_of("Receipt", 1))
    for number, kept in ((10, -5), (11, 300), (130, 0)):
        path = root / "receipts" / f"{number:04}.avro"
        path.write_bytes(path.read_bytes()[:kept] if kept else b"")
    write(root / "receipts" / "0150.avro", map(receipt, range(2000, 6000)))
    return root


ASKED: dict[str, Callable[[Audit], object]] = {
    "one": lambda audit: audit.find("event_id", "e602"),
    "several": lambda audit: audit.find("subject", "N3"),
    "none": lambda audit: audit.find("score_id", "0" * 31),
    "all": lambda audit: list(audit.scan()),
    "some": lambda audit: list(audit.scan(ReceiptFilter(version="v2"))),
    "columns": lambda audit: sorted_rows(audit.columns(["event_id", "version", "late"])),
    "columns of some": lambda audit: sorted_rows(audit.columns(["event_id"], ReceiptFilter(version="v1"))),
    "whole columns": lambda audit: sum(rows.num_rows for rows in audit.whole_columns()),
    "last events": lambda audit: audit.last_events("delays", ("v0", "v1", "none"), "shadow"),
}


def sorted_rows(batches: Iterable[pa.RecordBatch]) -> list[str]:
    return [str(row) for batch in batches for row in batch.to_pylist()]


@pytest.mark.parametrize("asked", ASKED)
def test_files_read_together_answer_as_files_read_one_by_one(
    many: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    together = Audit(str(many))
    answer = ASKED[asked](together)
    monkeypatch.setattr("audit.files.found.many_files.SMALL_BYTES", 0)
    alone = Audit(str(many))
    assert answer == ASKED[asked](alone)
    assert (together.broken, together.looked_through) == (alone.broken, alone.looked_through)
    assert list(together.broken) == [f"receipts/{number:04}.avro" for number in (10, 11, 130)]


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


@pytest.mark.parametrize("verb", [("event", "e42"), ("event", "none"), ("score", f"{42:032x}", "--no_verify")])
def test_who_asks_many_files_that_are_not_sealed_learns_how_to_make_it_fast(
    folder: Path, monkeypatch: pytest.MonkeyPatch, verb: tuple[str, ...]
) -> None:
    said = "2 files of receipts are not sealed, and were searched one by one; next: halflife audit seal --job FILE"
    publish(str(folder / "store"), folder / "payload")
    where = ("--audit", folder, "--store", folder / "store")
    assert "not sealed" not in halflife("audit", *verb, *where).err
    monkeypatch.setattr("audit.files.audit._MANY_UNSEALED", 2)
    assert said in halflife("audit", *verb, *where).err
    assert halflife("audit", "seal", "--audit", folder).code == 0
    assert "not sealed" not in halflife("audit", *verb, *where).err
