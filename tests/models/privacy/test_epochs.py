"""Epochs: which key hashes whom, chosen by event time, agreed on by all processes."""

import hashlib
import hmac
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from models.privacy.epoch_log import EpochLog, UnusableEpoch
from models.privacy.identities import FIRST_US, Epoch, Epochs, identity_of_event, identity_of_subject
from models.store.backends import Backend
from tests.models.privacy.receipts import memory

DAY = 86_400_000_000


def log(backend: Backend) -> EpochLog:
    return EpochLog(backend, lambda count: hashlib.shake_256(str(backend.list("epochs")).encode()).digest(count))


def test_all_processes_begin_with_one_epoch() -> None:
    backend = memory()
    with ThreadPoolExecutor(8) as workers:
        said = list(workers.map(lambda _: log(backend).read().all, range(8)))
    assert set(said) == {said[0]}
    assert [epoch.from_us for epoch in said[0]] == [FIRST_US]


def test_event_time_chooses_the_epoch() -> None:
    epochs = Epochs([Epoch(1, FIRST_US, b"a" * 32), Epoch(2, -5, b"b" * 32), Epoch(3, 10, b"c" * 32)])
    times = np.array([FIRST_US, -6, -5, 9, 10, 2**63 - 1])
    found = epochs.pseudonyms([b"\1x"] * 6, times)
    assert [each.epoch for each in found] == [1, 1, 2, 2, 3, 3]
    for each in found:
        key = epochs.all[each.epoch - 1].key
        assert each.digest == hmac.digest(key, b"halflife pseudonym 1\0\1x", "sha256")[:16]
    assert epochs.of_all(b"\1x") == [found[0], found[2], found[4]]
    assert str(found[0]).startswith("h1:")
    assert epochs.pseudonyms([], times[:0]) == []


def test_subjects_events_and_nobody_have_different_identities() -> None:
    texts = ["", "a", "\0", "\1a", "é", "\2"]
    identities = [made(text) for text in texts for made in (identity_of_subject, identity_of_event)]
    assert len({*identities, identity_of_subject(None)}) == 2 * len(texts) + 1


def test_epoch_begins_only_where_no_event_was_hashed_yet() -> None:
    epochs = log(memory())
    assert epochs.begin(3 * DAY, now_us=DAY, notice_us=DAY).number == 2
    for from_us, first in ((3 * DAY, "1970-01-04T00:00:00.000001Z"), (2 * DAY, "1970-01-04T00:00:00.000001Z")):
        with pytest.raises(UnusableEpoch, match=f"allowed: {first} or later"):
            epochs.begin(from_us, now_us=DAY, notice_us=DAY)
    with pytest.raises(UnusableEpoch, match="allowed: 1970-01-11T00:00:00Z or later"):
        epochs.begin(4 * DAY, now_us=9 * DAY, notice_us=DAY)
    assert [epoch.from_us for epoch in epochs.read().all] == [FIRST_US, 3 * DAY]


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'{"from_us": 5}', b'{"from_us": 5, "key": "ab"}', b'{"from_us": "x", "key": "zz"}']
)
def test_damaged_epoch_is_named(content: bytes) -> None:
    backend = memory()
    log(backend).read()
    backend.create("epochs/0002.json", content)
    with pytest.raises(UnusableEpoch, match=r"epochs/0002\.json (cannot be read|is not epoch 2); expected: "):
        log(backend).read()
