"""Sealing keeps each record once, however it is killed and whoever else seals."""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from audit.files.audit import Audit
from audit.files.chain import SealedMeanwhile, read_chain
from audit.files.index import NAMES, SegmentIndex
from audit.files.reading import ReadStretch, read_file
from audit.files.sealed import SealedSegment
from audit.sealing.building import SegmentBuilder
from audit.sealing.sealing import Sealer, SealLimits
from audit.sealing.sources import ContainerForm
from models.store.backends import Backend
from tests.audit.containers import receipt, schema_of, write
from tests.audit.sealing.sealed import NOW_US, ORIGIN, events_of, file_name, seal, sealer, segments, written

EVENTS = Counter(f"e{number}" for number in range(30))
# Of each segment four files and its checkpoint are written, then what it was made of is deleted: all of the first, and
# some of the others, of which the last deletes one file; 99: not killed.
WRITES = (1, 2, 3, 4, 5, 6, 8, 12, 13, 21, 22, 99)


def test_files_become_segments_with_all_records_in_order(tmp_path: Path) -> None:
    written(tmp_path)
    done = seal(tmp_path)
    assert [(each.kind, each.records, each.merged) for each in done.segments] == [
        ("receipts", 15, 3), ("receipts", 15, 3), ("models", 1, 1),
    ]  # fmt: skip
    assert list((tmp_path / "receipts").iterdir()) == list((tmp_path / "models").iterdir()) == []
    numbers = [
        e for s in segments(tmp_path)[:2] for part in s.stretches() for e in part.columns["event_id"].to_pylist()
    ]
    assert numbers == list(EVENTS)


def test_datums_are_byte_for_byte_as_they_were_stored(tmp_path: Path) -> None:
    (path,) = written(tmp_path, files=1)

    pieces = read_file(Backend(str(tmp_path)), f"receipts/{path.name}", "Receipt")
    before = [piece.datums.to_pylist() for piece in pieces if isinstance(piece, ReadStretch)]
    seal(tmp_path)
    assert [segments(tmp_path)[0].datums(range(5))] == before


def test_each_receipt_is_found_by_each_of_its_names(tmp_path: Path) -> None:
    written(tmp_path, files=40, each=30)
    seal(tmp_path, size=700)
    found = segments(tmp_path)[:2]
    for number in (0, 17, 699, 1199):
        said = receipt(number)
        for name in NAMES[:2]:
            assert _events(found, name, said[name]) == [f"e{number}"]
    assert _events(found, "subject", "N3") == [f"e{number}" for number in range(1200) if number % 7 == 3]
    assert [segment.find("score_id", "nobody") for segment in found] == [None, None]


def _events(segments: Sequence[SealedSegment], name: str, value: str) -> list[str]:
    found = [rows.columns["event_id"].to_pylist() for each in segments if (rows := each.find(name, value))]
    return [event for events in found for event in events]


def test_records_of_many_blocks_are_found_with_their_bytes_and_of_what_only_looks_alike_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index has the first eight bytes of a hash: the records themselves tell which have the value."""
    written(tmp_path, files=700)
    seal(tmp_path, size=3500)
    (segment,) = segments(tmp_path)[:1]
    found = segment.find("subject", "N3")
    assert found is not None
    assert found.indexes == [number for number in range(3500) if number % 7 == 3]
    assert len({row // segment.index.block_rows for row in found.indexes}) > 4
    monkeypatch.setattr(SegmentIndex, "find", lambda self, name, value: list(range(self.rows)))
    among = segment.find("subject", "N3")
    assert among is not None
    assert (among.indexes, among.datums, among.columns) == (found.indexes, found.datums, found.columns)
    assert segment.datums(found.indexes) == found.datums.to_pylist()
    assert segment.find("subject", "nobody") is None


_KILLED = """
import os, signal, sys
from tests.audit.sealing.sealed import sealer

for root in sys.argv[1:]:
    number = int(root.rpartition("/")[2])
    child = os.fork()
    if not child:
        left = [number]
        def changed(key):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
        sealer(root, changed=changed).seal()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_killed_after_any_write_nothing_is_lost_or_double(tmp_path: Path) -> None:
    roots = [tmp_path / str(number) for number in WRITES]
    for root in roots:
        written(root)
    command = [sys.executable, "-c", _KILLED, *map(str, roots)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout.split()
    assert ended == [str(-signal.SIGKILL)] * (len(WRITES) - 1) + ["0"]
    for root in roots:
        assert events_of(root) == EVENTS
        written(root, files=1, first=6)
        seal(root)
        assert events_of(root) == EVENTS + Counter(f"e{number}" for number in range(30, 35))
        assert list((root / "receipts").iterdir()) == []
        assert len(list((root / "sealed").iterdir())) == read_chain(Backend(str(root))).size


def test_of_two_sealers_one_wins_and_the_other_says_so(tmp_path: Path) -> None:
    written(tmp_path, files=2)
    once = [True]

    def meanwhile(key: str) -> None:
        if once and key.endswith("segment.json"):
            once.clear()
            seal(tmp_path, size=100)

    with pytest.raises(SealedMeanwhile, match=r"another process sealed segment 1 of .* first; nothing is lost; next: "):
        seal(tmp_path, size=100, changed=meanwhile)
    assert events_of(tmp_path) == Counter(f"e{number}" for number in range(10))
    assert len(list((tmp_path / "sealed").iterdir())) == 2


def test_a_file_that_cannot_be_sealed_is_left_and_named(tmp_path: Path) -> None:
    _, second, third = written(tmp_path, files=3)
    second.write_bytes(second.read_bytes()[:-20])
    third.write_bytes(b"")
    done = seal(tmp_path)
    assert {key: why.partition(";")[0].partition(" at byte")[0] for key, why in done.broken.items()} == {
        f"receipts/{second.name}": "block is truncated", f"receipts/{third.name}": "it is empty",
    }  # fmt: skip
    assert sorted((tmp_path / "receipts").iterdir()) == sorted([second, third])
    assert [each.records for each in done.segments] == [5, 1]


@pytest.mark.parametrize(("large", "most"), [(False, 1), (True, 2)], ids=["small", "large"])
def test_no_file_that_cannot_be_sealed_makes_a_segment_begin_anew(tmp_path: Path, large: bool, most: int) -> None:
    begun = list[str]()

    class Counted(SegmentBuilder):
        def __init__(self, folder: Path, kind: str, form: ContainerForm, most_rows: int) -> None:
            begun.append(kind)
            super().__init__(folder, kind, form, most_rows)

    paths = written(tmp_path, files=24, sync_interval=1)
    for path in paths[1::2]:
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("audit.sealing.sealing.SegmentBuilder", Counted)
        if large:
            patch.setattr("audit.sealing.sources._AT_ONCE_BYTES", 0)
            patch.setattr("audit.sealing.sources._AT_ONCE_RECORDS", 2)
        done = seal(tmp_path, size=1000)
    assert ([each.records for each in done.segments], len(done.broken)) == ([60, 1], 12)
    assert begun.count("receipts") <= most


def test_records_of_two_schemas_are_in_two_segments(tmp_path: Path) -> None:
    written(tmp_path, files=2)
    earlier = schema_of("Receipt", 1)
    names = [field["name"] for field in earlier["fields"]]
    row = receipt(99)
    write(tmp_path / "receipts" / file_name(5, "old"), [{name: row.get(name) for name in names}], earlier)
    done = seal(tmp_path)
    assert [each.records for each in done.segments] == [10, 1, 1]
    assert len({each.schema for each in done.segments}) == 3


def test_with_an_age_a_segment_waits_until_its_oldest_file_is_that_old(tmp_path: Path) -> None:
    written(tmp_path, files=2)
    one = sealer(tmp_path, size=1000, age_us=NOW_US - 1_350_000_000_000_000 + 10)
    assert one.seal().segments == []
    later = sealer(tmp_path, size=1000, age_us=NOW_US - 1_350_000_000_000_000)
    assert [each.records for each in later.seal().segments] == [10, 1]


def test_many_files_are_sealed_whatever_their_age(tmp_path: Path) -> None:
    written(tmp_path, files=6)
    waiting = SealLimits(1000, 10**18, files=7)
    assert sealed_with(tmp_path, waiting) == []
    written(tmp_path, files=1, first=6)
    assert sealed_with(tmp_path, waiting) == [35]
    assert events_of(tmp_path) == {f"e{n}": 1 for n in range(35)}


def sealed_with(root: Path, limits: SealLimits) -> list[int]:
    """The records of each segment of receipts that is made now."""
    done = Sealer(Backend(str(root)), ORIGIN, None, limits, lambda: NOW_US).seal()
    return [each.records for each in done.segments if each.kind == "receipts"]


@pytest.mark.parametrize("size", [1, 7, 12, 100])
def test_files_read_together_are_sealed_as_files_read_one_by_one(tmp_path: Path, size: int) -> None:
    """Of another form, of several blocks, without records, and damaged ones among them."""
    paths = written(tmp_path / "a", files=9)
    write(paths[2], [receipt(n) for n in range(900, 907)], sync_interval=1)
    write(paths[4], [])
    paths[6].write_bytes(paths[6].read_bytes()[:-20])
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    one = sealed_alone(tmp_path / "b", size)
    together = seal(tmp_path / "a", size)
    assert [(each.records, each.merged, each.root) for each in together.segments] == one
    assert list(together.broken) == [f"receipts/{paths[6].name}"]


def sealed_alone(root: Path, size: int) -> list[tuple[int, int, str]]:
    """Seals with every file read by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("audit.sealing.gathering.SMALL_BYTES", 0)
        return [(each.records, each.merged, each.root) for each in seal(root, size).segments]


def test_an_object_store_is_sealed_as_a_folder_is(tmp_path: Path) -> None:
    backend = Backend("memory://sealing")
    for path in written(tmp_path, files=4):
        backend.create(f"receipts/{path.name}", path)
    done = seal("memory://sealing", size=10)
    assert [each.records for each in done.segments] == [10, 10]
    assert backend.list("receipts") == []
    assert _indexes(segments("memory://sealing")[1], "e13") == [3]


def _indexes(segment: SealedSegment, event_id: str) -> list[int]:
    found = segment.find("event_id", event_id)
    assert found is not None
    return found.indexes


def test_what_is_in_a_block_may_vary_in_size(tmp_path: Path) -> None:
    """The first records decide how many are in a block; blocks of much larger ones can be read all the same."""
    written(tmp_path, files=1)
    large = [receipt(number, features={"text": "x" * 200_000 + str(number)}) for number in range(100, 400)]
    write(tmp_path / "receipts" / file_name(9), large)
    done = seal(tmp_path, size=1000)
    assert (done.segments[0].records, done.segments[0].block_rows) == (305, 256)
    assert _indexes(segments(tmp_path)[0], "e399") == [304]


def test_an_audit_finds_what_is_sealed_and_what_is_not(tmp_path: Path) -> None:
    """Files that a killed sealing left beside their segment count once."""
    paths = written(tmp_path, files=4)
    before = {path: path.read_bytes() for path in paths}
    seal(tmp_path, size=10)
    written(tmp_path, files=2, first=4)
    paths[3].write_bytes(before[paths[3]])
    # The first segment of receipts that was sealed last has this file; the segment of model events came after it.
    for kind in ("checkpoints/00000003", f"sealed/{segments(tmp_path)[2].folder}"):
        where = tmp_path / kind
        shutil.rmtree(where) if where.is_dir() else where.unlink()
    opened = Audit(str(tmp_path))
    assert [each.receipt["event_id"] for each in opened.scan()] == list(EVENTS)
    (sealed,), (loose,) = opened.find("event_id", "e17"), opened.find("event_id", "e27")
    assert (sealed.segment, sealed.row, loose.segment) == (2, 7, None)
    of_subject = [each.receipt["event_id"] for each in opened.find("subject", "N3")]
    assert of_subject == [f"e{number}" for number in range(30) if number % 7 == 3]
    assert opened.broken == {}


def test_model_events_that_are_sealed_name_their_run(tmp_path: Path) -> None:
    written(tmp_path, files=1, metadata={"halflife.job": "flights", "halflife.run": "r1"})
    for path in (tmp_path / "models").iterdir():
        event = {"at": NOW_US, "kind": "loaded", "model": "delays", "actor": "x", "reason": "", "evidence": "{}"}
        nothing = dict.fromkeys(("version", "digest", "release"))
        write(
            path, [event | nothing], schema_of("ModelEvent"), metadata={"halflife.job": "flights", "halflife.run": "r1"}
        )
    seal(tmp_path)
    (found,) = Audit(str(tmp_path)).model_events()
    assert (found["kind"], found["job"], found["run"]) == ("loaded", "flights", "r1")


def test_a_damaged_index_is_named_and_other_segments_are_searched(tmp_path: Path) -> None:
    written(tmp_path, files=4)
    seal(tmp_path, size=10)
    index = tmp_path / "sealed" / segments(tmp_path)[0].folder / "index"
    index.write_bytes(index.read_bytes()[:4100])
    opened = Audit(str(tmp_path))
    assert (opened.find("event_id", "e3"), len(opened.find("event_id", "e13"))) == ([], 1)
    assert list(opened.broken) == [f"sealed/{segments(tmp_path)[0].folder}/receipts.avro"]


def test_no_damaged_index_raises_or_invents_a_receipt(tmp_path: Path) -> None:
    written(tmp_path, files=4, each=40)
    seal(tmp_path, size=200)
    path = tmp_path / "sealed" / segments(tmp_path)[0].folder / "index"
    intact = path.read_bytes()
    offsets = [*range(0, 140, 3), *range(4096, len(intact), 97)]
    for at in offsets:
        for byte in (0, 255):
            path.write_bytes(intact[:at] + bytes([byte]) + intact[at + 1 :])
            opened = Audit(str(tmp_path))
            found = [each.receipt["event_id"] for each in opened.find("event_id", "e17")]
            assert found in ([], ["e17"])
    for size in range(0, len(intact), 331):
        path.write_bytes(intact[:size])
        assert len(Audit(str(tmp_path)).find("event_id", "e17")) <= 1


@pytest.mark.parametrize(
    "change",
    [{"format": 3}, {"number": -1}, {"records": 2**70}, {"kind": "scores"}, {"files": {}}, {"root": "x"}, {"more": 1}],
    ids=str,
)
def test_a_statement_that_cannot_be_is_named(tmp_path: Path, change: dict[str, object]) -> None:
    written(tmp_path, files=2)
    seal(tmp_path)
    folder = segments(tmp_path)[0].folder
    path = tmp_path / "sealed" / folder / "segment.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    opened = Audit(str(tmp_path))
    assert opened.find("event_id", "e3") == []
    assert [key for key in opened.broken if folder in key] == [f"sealed/{folder}"]
    assert re.search(r"; (expected|allowed): ", opened.broken[f"sealed/{folder}"])
