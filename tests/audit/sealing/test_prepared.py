"""A file of receipts that its writer prepared becomes a segment as it stands, and the same one as without that."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from audit.files.segments import parse_statement
from audit.sealing.findings import AuditFindings
from audit.sealing.prepared import PREPARED, PreparingWriter
from audit.sealing.verifying import AuditTrust, verify_segments
from models.store.backends import Backend
from schemas.records import avsc
from tests.audit.sealing.sealed import NOW_US, ORIGIN, events_of, file_name, seal, segments, written
from tests.models.privacy.receipts import made_receipts

RECEIPTS = 300


@pytest.fixture(autouse=True)
def small_ones_are_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.sealing.prepared.LEAST", 5)


def batches(first: int, count: int) -> list[pa.RecordBatch]:
    """Receipts of the events `e<first>`, …, in batches of which none ends where a block does."""
    made = made_receipts(count, first)
    ids = pa.array([f"e{number}" for number in range(first, first + count)])
    made = made.set_column(made.schema.get_field_index("event_id"), made.schema.field("event_id"), ids)
    return [made.slice(at, 70) for at in range(0, count, 70)]


def prepared(root: Path, number: int = 0, count: int = RECEIPTS) -> Path:
    """A file as a run writes it that seals its own audit."""
    path = root / "receipts" / file_name(number)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        writer = PreparingWriter(stream, root, path.name, avsc("Receipt"), {"halflife.job": "j", "halflife.run": "r1"})
        for batch in batches(number * RECEIPTS, count):
            writer.write(batch)
        writer.close()
    return path


def verified(root: Path) -> AuditFindings:
    found = AuditFindings()
    verify_segments(Backend(str(root)), AuditTrust(origin=ORIGIN), found)
    return found


def of_segment(root: Path, name: str) -> Path:
    return root / "sealed" / segments(root)[0].folder / name


def test_it_is_sealed_without_being_written_again(tmp_path: Path) -> None:
    path = prepared(tmp_path)
    os.link(path, tmp_path / "kept")
    done = seal(tmp_path, size=1000)
    assert ([each.records for each in done.segments], path.exists()) == ([RECEIPTS], False)
    assert of_segment(tmp_path, "receipts.avro").samefile(tmp_path / "kept")
    assert (verified(tmp_path).sound, verified(tmp_path).receipts) == (True, RECEIPTS)
    assert not (tmp_path / PREPARED / path.name).exists()


def test_it_is_the_segment_that_sealing_would_have_made(tmp_path: Path) -> None:
    path = prepared(tmp_path / "one")
    (tmp_path / "two" / "receipts").mkdir(parents=True)
    shutil.copy(path, tmp_path / "two" / "receipts" / path.name)
    ours, theirs = (seal(tmp_path / each, size=1000).segments[0] for each in ("one", "two"))
    same = {name: (getattr(ours, name), getattr(theirs, name)) for name in ("root", "records", "block_rows", "schema")}
    assert all(own == other for own, other in same.values()), same
    assert ours.files["summary"] == theirs.files["summary"]
    for name in ("score_id", "event_id", "subject"):
        one, two = (segments(tmp_path / each)[0].index.keys(name) for each in ("one", "two"))
        assert [each.tolist() for each in one] == [each.tolist() for each in two]


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a bit of the index": lambda kept: flipped(kept / "index"),
    "the index cut off": lambda kept: (kept / "index").write_bytes((kept / "index").read_bytes()[:-4]),
    "no summary": lambda kept: (kept / "summary").unlink(),
    "no statement": lambda kept: (kept / "segment.json").unlink(),
    "no JSON": lambda kept: (kept / "segment.json").write_text("{"),
    "another's name": lambda kept: restated(kept, "sources", b"receipts-other.avro\n"),
    "more receipts": lambda kept: restated(kept, "", b"", records=RECEIPTS + 1),
    "another schema": lambda kept: restated(kept, "", b"", schema="0" * 64),
    "two files": lambda kept: restated(kept, "", b"", merged=2),
}


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def restated(kept: Path, name: str, data: bytes, **said: object) -> None:
    """Something else beside a file, with the hashes that go with it."""
    from hashlib import sha256

    statement = parse_statement((kept / "segment.json").read_bytes())
    files = dict(statement.files)
    if name:
        (kept / name).write_bytes(data)
        files[name] = sha256(data).hexdigest()
    (kept / "segment.json").write_bytes(replace(statement, files=files, **said).stored())  # type: ignore[arg-type]


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_was_kept_is_not_believed_where_it_is_not_whole(tmp_path: Path, damage: str) -> None:
    path = prepared(tmp_path)
    DAMAGE[damage](tmp_path / PREPARED / path.name)
    done = seal(tmp_path, size=1000)
    assert (done.broken, [each.records for each in done.segments]) == ({}, [RECEIPTS])
    assert verified(tmp_path).sound
    assert events_of(tmp_path) == {f"e{n}": 1 for n in range(RECEIPTS)}


def test_a_file_that_is_damaged_is_named_and_stays(tmp_path: Path) -> None:
    path = prepared(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    done = seal(tmp_path, size=1000)
    assert (list(done.broken), done.segments, path.exists()) == ([f"receipts/{path.name}"], [], True)


def test_what_was_kept_and_lies_is_found_by_verifying(tmp_path: Path) -> None:
    path = prepared(tmp_path)
    kept = tmp_path / PREPARED / path.name
    data = bytearray((kept / "index").read_bytes())
    data[-4:] = data[-8:-4]  # the last subject's receipt is another one
    restated(kept, "index", bytes(data))
    assert [each.records for each in seal(tmp_path, size=1000).segments] == [RECEIPTS]
    assert [each.partition(": ")[2] for each in verified(tmp_path).altered] == ["it does not say what the records say"]


def test_leaves_that_are_no_receipts_are_found_by_verifying(tmp_path: Path) -> None:
    path = prepared(tmp_path)
    kept = tmp_path / PREPARED / path.name
    restated(kept, "", b"", root="0" * 64)
    seal(tmp_path, size=1000)
    assert not verified(tmp_path).sound


def test_small_ones_become_one_segment_with_others(tmp_path: Path) -> None:
    for number in range(3):
        prepared(tmp_path, number)
    written(tmp_path, files=1, first=10_000)
    done = seal(tmp_path, size=10_000)
    assert [each.records for each in done.segments] == [3 * RECEIPTS + 5, 1]
    assert (verified(tmp_path).sound, set(events_of(tmp_path).values())) == (True, {1})


def test_large_ones_are_segments_of_their_own_beside_others(tmp_path: Path) -> None:
    for number in range(2):
        prepared(tmp_path, number)
    written(tmp_path, files=2, first=10_000)
    done = seal(tmp_path, size=RECEIPTS)
    assert [each.records for each in done.segments] == [RECEIPTS, RECEIPTS, 10, 1]
    assert (verified(tmp_path).sound, set(events_of(tmp_path).values())) == (True, {1})


def test_records_too_large_for_blocks_are_written_and_sealed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.sealing.prepared.FULL_BYTES", 20_000)
    path = prepared(tmp_path)
    assert not (tmp_path / PREPARED / path.name).exists()
    assert [each.records for each in seal(tmp_path, size=1000).segments] == [RECEIPTS]
    assert (verified(tmp_path).sound, set(events_of(tmp_path).values())) == (True, {1})


def test_what_a_killed_run_left_is_removed_after_a_day(tmp_path: Path) -> None:
    path = prepared(tmp_path)
    path.unlink()
    young = prepared(tmp_path, int(NOW_US / 1e6 - 1_350_000_000.0 - 60), count=5)
    young.unlink()
    seal(tmp_path, size=1000)
    assert [each.name for each in (tmp_path / PREPARED).iterdir()] == [young.name]
