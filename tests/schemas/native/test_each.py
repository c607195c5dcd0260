"""The compiled module does to each value of a batch what Python's libraries do one by one, to the byte."""

import random
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import schemas.native
from audit.files.merkle import root_of, root_of_all, roots_of_blocks
from models.privacy.ciphers import encrypt_column
from models.privacy.receipts import encrypt_receipts
from schemas.native import compiled
from schemas.native.hashing import bytes_and_offsets, each_of, hmac_each, order_of, sha256_each
from tests.audit.sealing.sealed import seal, segments, written
from tests.models.privacy.receipts import datums, key_store, made_receipts
from tests.schemas.native.built import each, used

__all__ = ["each", "used"]
SIZES = [0, 1, 55, 56, 63, 64, 65, 119, 120, 500, 70_000]


def both_ways(use: pytest.MonkeyPatch, made: Callable[[], Any]) -> Any:
    """What is made with the compiled module, once it is known to be what Python makes."""
    found = made()
    use.setattr(compiled, "EACH", None)
    assert found == made()
    return found


def values(seed: int, count: int = 40) -> pa.Array:
    """Bytes of the sizes where a hash begins another block, among others; every fifth is null."""
    own = random.Random(seed)
    made = [None if row % 5 == 4 else own.randbytes(own.choice(SIZES[:-1])) for row in range(count)]
    return pa.array([*made, own.randbytes(SIZES[-1])], pa.binary())


@pytest.mark.parametrize("start", [0, 3])
def test_hashes_are_those_of_hashlib(used: pytest.MonkeyPatch, start: int) -> None:
    data, offsets = bytes_and_offsets(values(1).slice(start))
    found = both_ways(used, lambda: sha256_each(b"\0", data, offsets))
    assert len(found) == 32 * (41 - start)


@pytest.mark.parametrize("key", [b"", bytes(range(32)), b"k" * 64])
def test_keyed_hashes_are_those_of_hmac(used: pytest.MonkeyPatch, key: bytes) -> None:
    data, offsets = bytes_and_offsets(values(2))
    both_ways(used, lambda: hmac_each(key, b"what for\0", data, offsets))


def test_root_of_a_tree_of_any_size_is_that_of_python(used: pytest.MonkeyPatch) -> None:
    hashes = random.Random(3).randbytes(32 * 70)
    for size in range(70):
        part = hashes[: 32 * size]
        assert root_of_all(part) == root_of(each_of(part))


@pytest.mark.parametrize("rows", [1, 2, 16, 69, 70, 128])
def test_roots_of_blocks_are_those_of_python(used: pytest.MonkeyPatch, rows: int) -> None:
    hashes = random.Random(3).randbytes(32 * 70)
    found = both_ways(used, lambda: [roots_of_blocks(part, rows) for part in (hashes, b"")])
    assert [len(each) for each in found] == [32 * -(-70 // rows), 0]


@pytest.mark.parametrize("most", [2**64, 2**40, 3, 1])
def test_numbers_are_ordered_as_by_a_stable_sort(used: pytest.MonkeyPatch, most: int) -> None:
    own = random.Random(most)
    numbers = np.array([own.randrange(most) for _ in range(3000)] + [most - 1, 0], np.uint64)
    parts = (numbers, numbers[:1], numbers[:0], numbers[::3])
    both_ways(used, lambda: [order_of(part).tolist() for part in parts])


def test_a_module_of_earlier_sources_is_not_used(monkeypatch: pytest.MonkeyPatch, each: ModuleType) -> None:
    monkeypatch.setitem(sys.modules, "schemas.native._each", ModuleType("_each"))
    monkeypatch.setattr(schemas.native, "_each", ModuleType("_each"), raising=False)
    assert runpy.run_path(str(Path(compiled.__file__)))["EACH"] is None
    assert all(hasattr(each, name) for name in compiled.FUNCTIONS)


@pytest.mark.parametrize("beside", [b"", b"n" * 32, b"names each " * 131])
def test_values_are_encrypted_as_by_the_libraries(used: pytest.MonkeyPatch, beside: bytes) -> None:
    plain, own = values(4).fill_null(b""), random.Random(4)
    keys = np.frombuffer(own.randbytes(32 * 7), np.uint8).reshape(7, 32)
    of_row = np.array([own.randrange(7) for _ in plain], np.int32)
    ids = pa.array([f"{row:x}é" * (row % 4) for row in range(len(plain))])
    beside = beside[: 32 * len(plain)]
    sealed = both_ways(used, lambda: encrypt_column(keys, of_row, ids, b"features", plain, beside))
    assert [len(one) - len(other) for one, other in zip(sealed.to_pylist(), plain.to_pylist(), strict=True)] == [
        28
    ] * 41
    cut = encrypt_column(
        keys,
        of_row[5:9],
        ids.slice(5, 4),
        b"features",
        plain.slice(5, 4),
        beside if len(beside) < 33 else beside[160:288],
    )
    assert cut.to_pylist() == sealed.to_pylist()[5:9]


@pytest.mark.parametrize("hide", [False, True])
def test_receipts_are_stored_the_same(used: pytest.MonkeyPatch, hide: bool) -> None:
    receipts, store = made_receipts(90, 6), key_store()
    store.epoch_log.begin(1_000_000, now_us=0, notice_us=0)
    both_ways(used, lambda: datums(encrypt_receipts(receipts, store.epochs(), store.keys_of, hide)))


def test_offsets_and_numbers_that_do_not_fit_are_refused(each: ModuleType) -> None:
    for offsets in ([0, 5], [0, -1, 4], [2, 1], [-1, 2], []):
        with pytest.raises(ValueError, match="offsets"):
            each.sha256_each(b"", b"abcd", np.array(offsets, np.int64))
    with pytest.raises(ValueError, match="allowed: at most 64 bytes"):
        each.hmac_each(b"k" * 65, b"", b"", np.zeros(1, np.int64))
    one = np.array([0, 1], np.int64)
    for keys, rows, beside in (
        (bytes(32), [1], b""),
        (bytes(32), [-1], b""),
        (bytes(31), [0], b""),
        (bytes(32), [0], b"x"),
    ):
        with pytest.raises(ValueError, match="differ in number"):
            each.encrypt_each(keys, np.array(rows, np.int32), b"i", one, b"l", b"v", one, beside, b"f", b"p")


def test_segments_are_sealed_the_same(used: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def sealed_in(folder: Path) -> list[object]:
        written(folder, files=7, each=300)
        (folder / "receipts" / "receipts-run-cut.avro").write_bytes(b"Obj\1")
        said = seal(folder, size=1000)
        found, names = segments(folder), ("score_id", "event_id", "subject")
        keys = [[[column.tolist() for column in one.index.keys(name)] for name in names] for one in found]
        return [said.broken, [(one.statement.root, one.statement.records) for one in found], keys]

    found = sealed_in(tmp_path / "compiled")
    used.setattr(compiled, "EACH", None)
    assert found == sealed_in(tmp_path / "python")
