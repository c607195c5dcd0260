"""Keys of subjects: one living key for each, whoever races for it; an erasure destroys it, wherever it is killed."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from models.privacy.identities import identity_of_subject
from models.privacy.key_blocks import KeyBlock, UnusableKeyBlock
from models.privacy.key_store import KeyStore, SubjectKey
from models.privacy.register import AskedBy, ErasureUnfinished, NotHeld, SubjectHeld
from models.store.backends import Backend
from tests.models.privacy.killed import Killed, Mortal
from tests.models.privacy.receipts import key_store, memory

ASKED = AskedBy("dpo@example.com", 1_000_000, "letter of 3 May")
ANNA = identity_of_subject("Anna")


def key_of(store: KeyStore, name: str, epoch: int = 0) -> SubjectKey:
    return store.keys_for([store.epochs().all[epoch].pseudonym(identity_of_subject(name))])[0]


def everything(backend: Backend) -> dict[str, bytes]:
    """All objects of a store, with their bytes."""
    folders = ("blocks", "register", "epochs")
    return {key: backend.read(key, 10**8) or b"" for folder in folders for key, _ in backend.list(folder)}


def holders(backend: Backend, key: bytes) -> list[str]:
    return [name for name, content in everything(backend).items() if key in content]


def test_subject_keeps_its_key_in_other_processes_and_no_two_have_the_same() -> None:
    backend = memory()
    first = {name: key_of(key_store(backend), name) for name in ("Anna", "Ben", "Cleo")}
    assert {name: key_of(key_store(backend), name) for name in first} == first
    assert len({key.key for key in first.values()}) == len({key.key_id for key in first.values()}) == 3
    assert [key_store(backend).find(key.key_id) for key in first.values()] == [key.key for key in first.values()]
    assert [key_store(backend).find(key_id) for key_id in ("4.0", "1.1", "1", "x.y", "1.0.0", "")] == [None] * 6


def test_new_subjects_of_a_batch_take_one_object() -> None:
    backend = memory()
    store = key_store(backend)
    epoch = store.epochs().all[0]
    batch = [epoch.pseudonym(b"%d" % (index % 70_000)) for index in range(140_000)]
    keys = store.keys_for(batch)
    assert [(key, size > 0) for key, size in backend.list("blocks")] == [
        ("blocks/00000001.000000", True),
        ("blocks/00000002.000000", True),
    ]
    assert keys[:70_000] == keys[70_000:]
    assert len({key.key for key in keys}) == 70_000


@pytest.mark.parametrize("local", [False, True])
def test_racing_creators_agree_on_one_key_for_each(tmp_path: Path, local: bool) -> None:
    backend = Backend(str(tmp_path)) if local else memory()

    def creator(seed: int) -> dict[str, SubjectKey]:
        store, own = key_store(backend), random.Random(seed)
        names = [f"subject {index}" for index in range(60)]
        found = dict[str, SubjectKey]()
        for _ in range(8):
            some = own.sample(names, 12)
            epoch = store.epochs().all[0]
            keys = store.keys_for([epoch.pseudonym(identity_of_subject(name)) for name in some])
            found.update(zip(some, keys, strict=True))
        return found

    with ThreadPoolExecutor(8) as workers:
        said = list(workers.map(creator, range(8)))
    fresh = key_store(backend)
    for name in {name for each in said for name in each}:
        assert {each[name] for each in said if name in each} == {key_of(fresh, name)}


@pytest.mark.parametrize("others", [0, 2_000])
def test_erasure_writes_as_many_objects_whatever_there_is(tmp_path: Path, others: int) -> None:
    backend = Backend(str(tmp_path))
    store = key_store(backend)
    kept = [key_of(store, f"other {index}") for index in range(2)]
    store.keys_for([store.epochs().all[0].pseudonym(b"%d" % index) for index in range(others)])
    key = key_of(store, "Anna")
    counted = Mortal(str(tmp_path), 100)
    erasure = key_store(counted).erase(ANNA, ASKED)
    assert (erasure.destroyed, counted.writes) == (1, 5)
    assert holders(backend, key.key) == []
    assert key_store(backend).find(key.key_id) == "erased"
    assert [key_of(key_store(backend), f"other {index}") for index in range(2)] == kept


def test_later_event_of_an_erased_subject_gets_a_new_key_that_can_be_erased_too() -> None:
    store = key_store()
    first = key_of(store, "Anna")
    assert store.erased([ANNA, b"\1Ben"]) == [False, False]
    store.erase(ANNA, ASKED)
    second = key_of(store, "Anna")
    assert second.key != first.key
    assert store.find(first.key_id) == "erased"
    assert store.find(second.key_id) == second.key
    assert store.erased([ANNA, b"\1Ben"]) == [True, False]
    assert store.erase(ANNA, ASKED).destroyed == 1
    assert store.find(second.key_id) == "erased"
    assert store.erase(ANNA, ASKED).destroyed == 0
    assert [each.action for each in store.register.entries(ANNA)] == ["erase", "erased"] * 3


def begun_late(store: KeyStore) -> None:
    store.epoch_log.begin(5_000_000, now_us=0, notice_us=1)


@pytest.mark.parametrize("epochs", [1, 2])
def test_killed_between_any_two_writes_an_erasure_is_ended_by_the_next(tmp_path: Path, epochs: int) -> None:
    for lives in range(20):
        url = str(tmp_path / f"{epochs}-{lives}")
        store = key_store(Backend(url))
        if epochs == 2:
            begun_late(store)
        others = [key_of(store, name, epoch) for name in ("Ben", "Cleo") for epoch in range(epochs)]
        keys = [key_of(store, "Anna", epoch) for epoch in range(epochs)]
        try:
            key_store(Mortal(url, lives)).erase(ANNA, ASKED)
            break
        except Killed:
            left = [key for key in keys if key_store(Backend(url)).find(key.key_id) != "erased"]
            assert all(key_store(Backend(url)).find(key.key_id) == key.key for key in left)
        after = key_store(Backend(url))
        assert after.erase(ANNA, ASKED).destroyed == len(left)
        assert [holders(Backend(url), key.key) for key in keys] == [[]] * epochs
        assert [key_of(after, name, epoch) for name in ("Ben", "Cleo") for epoch in range(epochs)] == others
    assert lives == 3 + 2 * epochs


def test_racing_erasures_of_one_block_bring_no_key_back(tmp_path: Path) -> None:
    backend = Backend(str(tmp_path))
    store = key_store(backend)
    names = [f"subject {index}" for index in range(12)]
    keys = store.keys_for([store.epochs().all[0].pseudonym(identity_of_subject(name)) for name in names])
    with ThreadPoolExecutor(6) as workers:
        erased = workers.map(
            lambda name: key_store(backend).erase(identity_of_subject(name), ASKED).destroyed, names[:8]
        )
    assert list(erased) == [1] * 8
    assert [holders(backend, key.key) for key in keys[:8]] == [[]] * 8
    assert [key_store(backend).find(key.key_id) for key in keys[8:]] == [key.key for key in keys[8:]]


def test_writer_that_slept_through_erasures_brings_no_key_back() -> None:
    backend = memory()
    names = ["Anna", "Ben", "Cleo"]
    keys = {name: key_of(key_store(backend), name) for name in names[:1]}
    store = key_store(backend)
    keys |= dict(
        zip(
            names,
            store.keys_for([store.epochs().all[0].pseudonym(identity_of_subject(each)) for each in names]),
            strict=True,
        )
    )
    sleeper = key_store(backend, fresh_s=1e9)
    assert key_of(sleeper, "Ben") == keys["Ben"]
    asleep = sleeper._blocks[2].without([0])
    for name in ("Anna", "Ben", "Cleo"):
        key_store(backend).erase(identity_of_subject(name), ASKED)
    assert not sleeper._files.replace(asleep)
    assert [holders(backend, key.key) for key in keys.values()] == [[]] * 3


def test_what_was_read_counts_until_it_is_old() -> None:
    backend, now = memory(), [0.0]
    worker = key_store(backend, fresh_s=60, clock=lambda: now[0])
    key = key_of(worker, "Anna")
    key_store(backend).erase(ANNA, ASKED)
    now[0] = 59.9
    assert key_of(worker, "Anna") == key
    now[0] = 60.0
    assert key_of(worker, "Anna") != key
    assert worker.find(key.key_id) == "erased"


def test_key_that_another_process_made_is_found_at_once() -> None:
    backend = memory()
    reader = key_store(backend, fresh_s=1e9)
    assert reader.find("1.0") is None
    key = key_of(key_store(backend), "Anna")
    assert reader.find(key.key_id) == key.key


def test_pseudonyms_that_begin_alike_are_told_apart() -> None:
    alike = [b"8 bytes." + bytes([index]) * 8 for index in range(4)]
    block = KeyBlock(1, 0, b"".join(each + bytes(32) for each in alike))
    assert [block.rows_of([each]) for each in alike] == [[0], [1], [2], [3]]
    assert block.rows_of([b"8 bytes.8 others", *alike[1:3]]) == [1, 2]


def test_hold_forbids_an_erasure_until_it_is_released() -> None:
    store = key_store()
    key = key_of(store, "Anna")
    store.register.hold(ANNA, AskedBy("counsel", 2_000_000, "Smith v. Bank"))
    assert store.register.hold(ANNA, ASKED).asked.by == "counsel"
    with pytest.raises(
        SubjectHeld, match=r"under a hold since 1970-01-01T00:00:02Z, by counsel: Smith v\. Bank; next: "
    ):
        store.erase(ANNA, ASKED)
    begun_late(store)
    epochs = store.epoch_log.read()
    assert store.find(key.key_id) == key.key
    assert store.held() == set(epochs.of_all(ANNA))
    store.register.release(ANNA, ASKED)
    with pytest.raises(NotHeld, match="expected: one that halflife audit hold"):
        store.register.release(ANNA, ASKED)
    assert store.held() == set()
    assert store.erase(ANNA, ASKED).destroyed == 1


def test_hold_is_refused_while_an_erasure_is_unfinished_and_nothing_of_it_stays(tmp_path: Path) -> None:
    url = str(tmp_path)
    store = key_store(Backend(url))
    store.register.hold(ANNA, ASKED)
    store.register.release(ANNA, ASKED)
    assert holders(Backend(url), ANNA.hex().encode()) != []
    with pytest.raises(Killed):
        key_store(Mortal(url, 1)).erase(ANNA, ASKED)
    with pytest.raises(ErasureUnfinished, match=r"is being erased, for dpo@example\.com; next: halflife audit erase"):
        store.register.hold(ANNA, ASKED)
    store.erase(ANNA, ASKED)
    assert holders(Backend(url), ANNA.hex().encode()) == holders(Backend(url), b"Anna") == []
    assert store.register.hold(ANNA, ASKED).action == "hold"


def test_hold_and_erasure_at_once_have_an_order() -> None:
    for _ in range(20):
        backend = memory()
        key = key_of(key_store(backend), "Anna")

        def tried(work: Callable[[], object]) -> bool:
            try:
                work()
            except (SubjectHeld, ErasureUnfinished):
                return False
            return True

        with ThreadPoolExecutor(2) as both:
            held = both.submit(tried, lambda: key_store(backend).register.hold(ANNA, ASKED))  # noqa: B023
            erased = both.submit(tried, lambda: key_store(backend).erase(ANNA, ASKED))  # noqa: B023
        assert erased.result() == (key_store(backend).find(key.key_id) == "erased")
        assert held.result() or erased.result()


def test_unfinished_files_of_dead_writers_go_with_an_erasure(tmp_path: Path) -> None:
    store = key_store(Backend(str(tmp_path)))
    key = key_of(store, "Anna")
    (tmp_path / "blocks" / "00000002.000000#1").write_bytes(b"HLKEYS1\n" + key.key)
    store.erase(ANNA, ASKED)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and key.key in path.read_bytes()] == []


@pytest.mark.parametrize("seed", range(20))
def test_damaged_blocks_are_named_and_nothing_is_encrypted(tmp_path: Path, seed: int) -> None:
    own = random.Random(seed)
    store = key_store(Backend(str(tmp_path)))
    key_of(store, "Anna"), key_of(store, "Ben")
    block = tmp_path / "blocks" / f"0000000{own.randrange(1, 3)}.000000"
    content = bytearray(block.read_bytes())
    content[own.randrange(len(content))] ^= 1 << own.randrange(8)
    block.write_bytes(content[: own.randrange(1, len(content))] if seed % 3 == 0 else content)
    with pytest.raises(UnusableKeyBlock, match=f"blocks/{block.name} is damaged; expected: "):
        key_of(key_store(Backend(str(tmp_path))), "Anna")
    block.unlink()
    if block.name.startswith("00000001"):
        with pytest.raises(UnusableKeyBlock, match="blocks/00000001 is missing; next: "):
            key_of(key_store(Backend(str(tmp_path))), "Anna")


@pytest.mark.parametrize("key_id", ["9" * 5000 + ".1", "1." + "9" * 5000, "", ".", "1", "-1.0", "1.-1", "1.0.0"])
def test_ids_of_keys_that_anybody_may_have_written_find_nothing(key_id: str) -> None:
    store = key_store()
    key_of(store, "Anna")
    assert store.find(key_id) is None


@pytest.mark.parametrize("absent", [["7.0"], [f"{number}.0" for number in range(2, 60)], ["9.1", "x", "1.99", "8.3"]])
def test_keys_of_many_records_are_looked_for_once_and_those_that_others_made_meanwhile_are_found(
    monkeypatch: pytest.MonkeyPatch, absent: list[str]
) -> None:
    backend, listed = memory(), list[str]()
    store, listing = key_store(backend, fresh_s=60.0), Backend.list
    anna = key_of(store, "Anna")

    def noted(self: Backend, prefix: str, after: str | None = None) -> list[tuple[str, int]]:
        listed.append(prefix)
        return listing(self, prefix, after)

    monkeypatch.setattr(Backend, "list", noted)
    assert store.found([*absent, anna.key_id]) == {**dict.fromkeys(absent), anna.key_id: anna.key}
    assert listed == ["blocks"]
    for name in ("Ben", "Cleo"):
        made = key_of(key_store(backend), name)
        assert store.found(["99.0", made.key_id])[made.key_id] == store.find(made.key_id) == made.key
    listed.clear()
    assert store.found([anna.key_id, "no id"]) == {anna.key_id: anna.key, "no id": None}
    assert listed == []
