"""Whatever is altered, removed, added, swapped or cut off in a sealed audit is named."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import fastavro
import pytest

from audit.files.checkpoints import parse_checkpoint
from audit.files.merkle import leaf_hash
from audit.files.notes import new_key
from audit.sealing.findings import AuditFindings
from audit.sealing.verifying import AuditTrust, verify_segments
from models.store.backends import Backend
from tests.audit.containers import receipt, schema_of, write
from tests.audit.sealing.sealed import ORIGIN, seal, segments, written

KEY = new_key(ORIGIN)
OTHER = new_key(ORIGIN)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sealed segments of 100 receipts, and one of a model event, signed."""
    root = tmp_path_factory.mktemp("whole")
    written(root, files=30, each=10)
    seal(root, size=100, key=KEY)
    return root


@pytest.fixture
def audit(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "audit"))


@pytest.fixture
def in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As `audit`, in blocks of 16 receipts."""
    monkeypatch.setattr("audit.sealing.sealing._MOST_ROWS", 16)
    written(tmp_path, files=30, each=10)
    seal(tmp_path, size=100, key=KEY)
    return tmp_path


def verified(root: Path, **trust: object) -> AuditFindings:
    found = AuditFindings()
    verify_segments(Backend(str(root)), AuditTrust(**({"keys": [KEY.public], "origin": ORIGIN} | trust)), found)  # type: ignore[arg-type]
    return found


def folder(root: Path, number: int) -> Path:
    (found,) = (root / "sealed").glob(f"{number:08}-*")
    return found


def named(found: AuditFindings) -> dict[str, list[str]]:
    return {name: values for name, values in found.lists.items() if values}


def rewritten(root: Path, change: Callable[[list[dict[str, object]]], list[dict[str, object]]]) -> str:
    """The second segment's container, written anew by someone with access; its key."""
    path = folder(root, 2) / "receipts.avro"
    with path.open("rb") as stream:
        rows = [row for row in fastavro.reader(stream) if isinstance(row, dict)]
    write(path, change(rows), schema_of("Receipt"))
    return str(path.relative_to(root))


def test_a_sealed_audit_verifies(whole: Path) -> None:
    found = verified(whole)
    assert (named(found), found.receipts, found.segments, found.signature) == ({}, 300, 4, "signed")


def test_a_changed_score_is_named_by_its_receipt(audit: Path) -> None:
    key = rewritten(audit, lambda rows: [row | {"score": 0.1} if row["event_id"] == "e142" else row for row in rows])
    assert named(verified(audit)) == {"altered": [f"{key}: {142:032x}"]}


def test_a_removed_receipt_is_named(audit: Path) -> None:
    key = rewritten(audit, lambda rows: rows[:17] + rows[18:])
    assert named(verified(audit)) == {"removed": [f"{key}: receipt 17 of 100"]}


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (range(17, 60), ["receipts 17 to 59 of 100"]),
        ([0, 1, 50, 98, 99], ["receipts 0 to 1 of 100", "receipt 50 of 100", "receipts 98 to 99 of 100"]),
        (range(16, 32), ["receipts 16 to 31 of 100"]),
    ],
    ids=["one after another", "here and there", "a whole block"],
)
def test_removed_receipts_that_stood_together_are_one_finding(
    in_blocks: Path, gone: Sequence[int], said: list[str]
) -> None:
    key = rewritten(in_blocks, lambda rows: [row for number, row in enumerate(rows) if number not in gone])
    assert named(verified(in_blocks)) == {"removed": [f"{key}: {each}" for each in said]}


@pytest.mark.parametrize(("block", "said"), [(0, "0 to 15"), (2, "32 to 47"), (6, "96 to 99")])
def test_a_block_that_cannot_be_read_is_one_finding_and_not_removed(in_blocks: Path, block: int, said: str) -> None:
    segment = segments(in_blocks)[1]
    path = in_blocks / segment.file
    at = segment.index.location(block).start + 40
    data = bytearray(path.read_bytes())
    data[at] ^= 8
    path.write_bytes(data)
    found = named(verified(in_blocks))
    assert found.pop("broken_files")[0].startswith(f"{segment.file}: block is ")
    assert found == {"altered": [f"{segment.file}: receipts {said} of 100 cannot be read"]}


def test_a_container_that_is_cut_off_is_named_by_the_receipts_that_are_gone(in_blocks: Path) -> None:
    segment = segments(in_blocks)[1]
    path = in_blocks / segment.file
    path.write_bytes(path.read_bytes()[: segment.index.location(3).start + 30])
    assert named(verified(in_blocks))["altered"] == [f"{segment.file}: receipts 48 to 99 of 100 cannot be read"]


def test_an_added_receipt_is_named(audit: Path) -> None:
    key = rewritten(audit, lambda rows: [*rows[:17], receipt(9999), *rows[17:]])
    assert named(verified(audit)) == {"added": [f"{key}: {9999:032x}"]}


def test_reordered_receipts_are_named(audit: Path) -> None:
    key = rewritten(audit, lambda rows: [rows[1], rows[0], *rows[2:]])
    assert named(verified(audit)) == {"reordered": [f"{key}: {101:032x}", f"{key}: {100:032x}"]}


def test_the_same_receipts_in_other_bytes_are_named(audit: Path) -> None:
    key = rewritten(audit, lambda rows: rows)
    assert named(verified(audit)) == {"altered": [f"{key}: other bytes, which hold the same records"]}


@pytest.mark.parametrize("name", ["receipts.avro", "index", "segment.json", "sources", "summary"])
def test_any_flipped_bit_of_a_file_is_found(audit: Path, name: str) -> None:
    path = folder(audit, 2) / name
    intact = path.read_bytes()
    for at in range(0, len(intact), max(len(intact) // 12, 1)):
        path.write_bytes(intact[:at] + bytes([intact[at] ^ 4]) + intact[at + 1 :])
        found = named(verified(audit))
        assert any(str(path.relative_to(audit)) in each for names in found.values() for each in names), (at, found)


def test_any_flipped_bit_of_a_checkpoint_is_found(audit: Path) -> None:
    path = audit / "checkpoints" / "00000003"
    intact = path.read_bytes()
    for at in range(0, len(intact), 9):
        path.write_bytes(intact[:at] + bytes([intact[at] ^ 4]) + intact[at + 1 :])
        found = named(verified(audit))
        assert any("checkpoints/00000003" in each for names in found.values() for each in names), (at, found)


@pytest.mark.parametrize("name", ["receipts.avro", "index", "segment.json", "sources", "summary", ""])
def test_a_removed_file_is_named(audit: Path, name: str) -> None:
    path = folder(audit, 2) / name if name else folder(audit, 2)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert named(verified(audit)) == {"removed": [str(path.relative_to(audit))]}


def test_removed_records_of_a_segment_are_not_taken_for_expired(audit: Path) -> None:
    for name in ("receipts.avro", "index"):
        (folder(audit, 2) / name).unlink()
    assert named(verified(audit)) == {"removed": [f"sealed/{folder(audit, 2).name}/receipts.avro"]}


def test_swapped_segments_are_named(audit: Path) -> None:
    one, two, aside = folder(audit, 1), folder(audit, 2), audit / "aside"
    one.rename(aside), two.rename(one), aside.rename(two)
    assert named(verified(audit)) == {
        "reordered": [
            f"sealed/{one.name}/segment.json: it is that of segment 2, not of 1",
            f"sealed/{two.name}/segment.json: it is that of segment 1, not of 2",
        ]
    }


def test_swapped_checkpoints_are_named(audit: Path) -> None:
    one, two, aside = (audit / "checkpoints" / name for name in ("00000001", "00000002", "aside"))
    one.rename(aside), two.rename(one), aside.rename(two)
    assert [name.partition(":")[0] for name in named(verified(audit))["reordered"]] == [
        "checkpoints/00000001", "checkpoints/00000002",
    ]  # fmt: skip


def test_an_added_file_is_named(audit: Path) -> None:
    (folder(audit, 1) / "more.avro").write_bytes(b"x")
    assert named(verified(audit)) == {"added": [f"sealed/{folder(audit, 1).name}/more.avro"]}


def test_a_folder_that_no_checkpoint_names_is_named_and_no_finding(audit: Path) -> None:
    (audit / "sealed" / "00000005-01jd0000000000000000000000").mkdir()
    (audit / "sealed" / "00000005-01jd0000000000000000000000" / "index").write_bytes(b"x")
    found = verified(audit)
    assert (found.sound, found.uncommitted) == (True, ["sealed/00000005-01jd0000000000000000000000"])


def test_a_cut_off_end_is_found_against_a_checkpoint_that_was_kept(audit: Path) -> None:
    kept = parse_checkpoint((audit / "checkpoints" / "00000004").read_bytes())
    shutil.rmtree(folder(audit, 4))
    (audit / "checkpoints" / "00000004").unlink()
    assert named(verified(audit)) == {}
    assert named(verified(audit, kept=kept)) == {"removed": ["checkpoints/00000004"]}


def test_an_audit_made_anew_is_found_against_a_checkpoint_that_was_kept(audit: Path, tmp_path: Path) -> None:
    kept = parse_checkpoint((audit / "checkpoints" / "00000003").read_bytes())
    anew = tmp_path / "anew"
    written(anew, files=30, each=10, first=1)
    seal(anew, size=100, key=KEY)
    why = "the segments up to it are not those of the checkpoint that was kept"
    assert named(verified(anew)) == {}
    assert named(verified(anew, kept=kept)) == {"altered": [f"checkpoints/00000003: {why}"]}


def test_a_score_sealed_anew_without_the_key_is_found(audit: Path, tmp_path: Path) -> None:
    """Whoever can write everything, but has no key, makes the whole audit again with one score changed."""
    anew = tmp_path / "anew"
    for number in range(1, 4):
        with (folder(audit, number) / "receipts.avro").open("rb") as stream:
            rows = [row | {"score": 0.9} for row in fastavro.reader(stream) if isinstance(row, dict)]
        write(anew / "receipts" / f"receipts-run-{number}.avro", rows, schema_of("Receipt"))
    seal(anew, size=100, key=OTHER)
    assert len(named(verified(anew))["altered"]) == 3
    seal(tmp_path / "empty")


def test_a_statement_with_another_root_is_found(audit: Path) -> None:
    """Also where its hash is put into the checkpoint, which is then not signed."""
    path = folder(audit, 3) / "segment.json"
    said = json.loads(path.read_bytes()) | {"root": "0" * 64}
    before = leaf_hash(path.read_bytes())
    path.write_bytes(json.dumps(said, sort_keys=True, separators=(",", ":")).encode())
    stored = audit / "checkpoints" / "00000003"
    stored.write_bytes(stored.read_bytes().replace(before.hex().encode(), leaf_hash(path.read_bytes()).hex().encode()))
    found = named(verified(audit))["altered"]
    assert f"checkpoints/00000003: not signed by {ORIGIN}" in found
    assert "checkpoints/00000003: its root is not that of the segments up to it" in found


def test_unsigned_checkpoints_are_said_to_be_so(tmp_path: Path) -> None:
    written(tmp_path, files=2)
    seal(tmp_path)
    assert verified(tmp_path, keys=[]).signature == "unsigned"
    assert len(named(verified(tmp_path))["altered"]) == 2
    assert [each.statement.records for each in segments(tmp_path)] == [10, 1]
