"""Receipts under keys of their subjects: back to the bit with the key, and nothing of a person without it."""

import random

import numpy as np
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from audit.asking.answers import _same
from models.privacy.ciphers import decrypt, encrypt, receipt_key
from models.privacy.identities import identity_of_event, identity_of_subject
from models.privacy.key_store import KeyStore
from models.privacy.receipts import decrypt_receipts, encrypt_receipts, hashed_ids, open_receipts
from models.privacy.register import AskedBy
from schemas.avro.datums import decode_block
from schemas.records import avsc
from tests.models.privacy.receipts import datums, key_store, made_receipts

ASKED = AskedBy("dpo@example.com", 1_000_000)


def stored(store: KeyStore, receipts: pa.RecordBatch, hide: bool = False) -> pa.RecordBatch:
    return encrypt_receipts(receipts, store.epochs(), store.keys_of, hide)


def as_read(receipts: pa.RecordBatch) -> pa.RecordBatch:
    """The receipts as they are read from a file."""
    written = datums(receipts)
    return decode_block(b"".join(written), len(written), avsc("Receipt")).rows


def replaced(receipts: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    return receipts.set_column(receipts.schema.get_field_index(name), receipts.schema.field(name), values)


@pytest.mark.parametrize("seed", range(12))
def test_decrypted_receipts_are_those_that_were_encrypted_to_the_bit(seed: int) -> None:
    receipts, store = made_receipts(seed * 7, seed, features=seed), key_store()
    store.epoch_log.begin(1_000_000, now_us=0, notice_us=0)
    hidden = stored(store, receipts, hide=seed % 2 == 0)
    assert hidden.schema == receipts.schema
    assert hidden.num_rows == receipts.num_rows
    for form in (hidden, as_read(hidden)):
        opened = decrypt_receipts(form, store.find)
        assert datums(opened.receipts) == datums(receipts)
        assert set(opened.states) <= {"opened"}
    cut = decrypt_receipts(as_read(hidden).slice(seed, seed * 2), store.find)
    assert datums(cut.receipts) == datums(receipts)[seed : seed * 3]
    assert datums(stored(store, receipts.slice(seed, seed * 2), seed % 2 == 0)) == datums(hidden)[seed : seed * 3]


@pytest.mark.parametrize("size", [0, 1, 13, 5_000])
def test_values_are_encrypted_as_the_library_does_it_one_by_one(size: int) -> None:
    own = random.Random(size)
    keys, ids, plain = (
        [own.randbytes(32) for _ in range(9)],
        [f"{index:x}é" for index in range(9)],
        [own.randbytes(size)] * 9,
    )
    for key, score_id, value, sealed in zip(keys, ids, plain, encrypt(keys, ids, b"label", plain), strict=True):
        derived = HKDFExpand(hashes.SHA256(), 32, b"halflife value 1\0" + score_id.encode()).derive(key)
        bound = b"label\0" + score_id.encode()
        assert receipt_key(key, score_id) == derived
        assert AESGCM(derived).decrypt(sealed[:12], sealed[12:], bound) == value
        assert decrypt(derived, score_id, b"label", sealed) == value
        assert [decrypt(*wrong) for wrong in (
            (key, score_id, b"label", sealed), (derived, "0", b"label", sealed), (derived, score_id, b"lab", sealed),
            (derived, score_id, b"label", sealed[:-1]), (derived, score_id, b"label", b""),
        )] == [None] * 5  # fmt: skip


def test_nonce_of_a_key_is_not_used_for_another_value() -> None:
    key, values = bytes(32), [b"%d" % index for index in range(20_000)]
    sealed = encrypt([key] * len(values), ["one"] * len(values), b"features", values)
    others = encrypt([key] * len(values), ["one"] * len(values), b"reasons", values)
    assert len({each[:12] for each in (*sealed, *others)}) == 2 * len(values)
    assert encrypt([key], ["one"], b"features", values[:1]) == sealed[:1]


def test_retry_writes_the_same_receipt_and_reasons_that_it_leaves_out_contradict_nothing() -> None:
    receipts, store = made_receipts(50, 1), key_store()
    first, again = stored(store, receipts), stored(store, receipts)
    assert datums(first) == datums(again)
    reasons = pa.array([[]] * 50, receipts.schema.field("reasons").type)
    bare = stored(store, replaced(replaced(receipts, "reasons", reasons), "base_value", pa.nulls(50, pa.float64())))
    assert datums(bare) != datums(first)
    for one, other in zip(first.to_pylist(), bare.to_pylist(), strict=True):
        assert all(_same(one[name], other[name]) for name in ("event_id", "subject", "features", "key_id"))


def test_nothing_of_a_person_is_in_the_stored_bytes() -> None:
    receipts, store = made_receipts(40, 3), key_store()
    hidden = stored(store, receipts, hide=True)
    written = b"".join(datums(hidden))
    assert hidden.column("base_value").null_count == 40
    values = {
        text
        for row in receipts.to_pylist()
        for text in (row["subject"], row["event_id"], "LATE-DEPARTURE", "N14228", "x" * 9)
    }
    assert [text for text in values if text and text.encode() in written] == []
    assert b"event 1" in b"".join(datums(receipts))
    assert b"N14228" in b"".join(datums(receipts))


def test_erased_subject_is_shown_as_erased_and_the_others_open() -> None:
    receipts, store = made_receipts(60, 4), key_store()
    hidden = stored(store, receipts)
    assert store.erase(identity_of_subject("subject 2"), ASKED).destroyed == 1
    opened = decrypt_receipts(hidden, store.find)
    subjects = receipts.column("subject").to_pylist()
    assert opened.states == ["erased" if each == "subject 2" else "opened" for each in subjects]
    assert 0 < opened.states.count("erased") < 60
    for row, state in enumerate(opened.states):
        kept = datums(hidden if state == "erased" else receipts)[row]
        assert datums(opened.receipts)[row] == kept
    later = decrypt_receipts(stored(store, receipts), store.find)
    assert set(later.states) == {"opened"}


def test_receipts_without_their_key_are_unreadable_and_plain_ones_stay_plain() -> None:
    receipts, store = made_receipts(20, 5), key_store()
    hidden = stored(store, receipts)
    strange = decrypt_receipts(hidden, key_store().find)
    assert set(strange.states) == {"unreadable"}
    assert datums(strange.receipts) == datums(hidden)
    plain = decrypt_receipts(receipts, store.find)
    assert set(plain.states) == {"plain"}
    assert datums(plain.receipts) == datums(receipts)
    nobody = decrypt_receipts(receipts.slice(0, 0), store.find)
    assert nobody.states == []
    assert nobody.receipts.num_rows == 0


@pytest.mark.parametrize("name", ["features", "reasons", "key_id", "score_id"])
def test_values_of_another_receipt_do_not_open(name: str) -> None:
    receipts, store = made_receipts(30, 6), key_store()
    hidden = stored(store, receipts)
    swapped = replaced(hidden, name, hidden.column(name).take(pa.array(np.roll(np.arange(30), 1))))
    states = decrypt_receipts(swapped, store.find).states
    moved = [one != other for one, other in zip(hidden.to_pylist(), swapped.to_pylist(), strict=True)]
    assert any(moved)
    wrong = {row for row, state in enumerate(states) if state != "opened"}
    # A receipt without reasons does not say that it had some: like any field in plain, the hash tree holds that.
    unseen = {row for row in range(30) if name == "reasons" and not swapped.column(name)[row].as_py()}
    assert wrong == {row for row in range(30) if moved[row]} - unseen


def test_names_stay_in_plain_and_other_names_do_not_open() -> None:
    receipts, store = made_receipts(30, 9), key_store()
    hidden = stored(store, receipts)
    for one, other in zip(receipts.to_pylist(), hidden.to_pylist(), strict=True):
        assert [name for name, _ in other["features"]] == ["", *(name for name, _ in one["features"])]
        assert [value for _, value in other["features"][1:]] == [None] * len(one["features"])
    features = hidden.column("features")
    names = [name.replace("delay", "income") for name in features.keys.to_pylist()]
    renamed = pa.MapArray.from_arrays(features.offsets, pa.array(names), features.items, type=features.type)
    states = decrypt_receipts(replaced(hidden, "features", renamed), store.find).states
    own = [any("delay" in name for name, _ in each) for each in receipts.column("features").to_pylist()]
    assert states == ["unreadable" if each else "opened" for each in own]
    assert 0 < sum(own) < 30


def test_key_of_one_receipt_opens_that_one_alone() -> None:
    receipts, store = made_receipts(20, 7, subjects=1), key_store()
    hidden = stored(store, receipts)
    ids = hidden.column("score_id").to_pylist()
    subject_key = store.find(hidden.column("key_id")[3].as_py())
    assert isinstance(subject_key, bytes)
    opened = open_receipts(hidden, [receipt_key(subject_key, ids[3])] * 20)
    assert [row for row, state in enumerate(opened.states) if state == "opened"] == [3]
    assert datums(opened.receipts)[3] == datums(receipts)[3]


def test_hashes_are_those_of_the_epoch_of_the_event_time() -> None:
    receipts, store = made_receipts(80, 8), key_store()
    store.epoch_log.begin(1_000_000, now_us=0, notice_us=0)
    epochs = store.epoch_log.read()
    hidden = stored(key_store(), receipts).num_rows and encrypt_receipts(receipts, epochs, store.keys_of, True)
    for row, out in zip(receipts.to_pylist(), hidden.to_pylist(), strict=True):
        time_us = row["event_time"].second * 1_000_000 + row["event_time"].microsecond
        epoch = epochs.all[int(time_us >= 1_000_000)]
        assert out["subject"] == str(epoch.pseudonym(identity_of_subject(row["subject"])))
        assert out["event_id"] == str(epoch.pseudonym(identity_of_event(row["event_id"])))
    assert hidden.column("event_id").equals(
        hashed_ids(receipts.column("event_id"), epochs, receipts.column("event_time"))
    )
