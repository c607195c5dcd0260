"""Of very many segments of a window so many are measured apart, the same ones whatever is added up first."""

import random
from typing import Any

import numpy as np
import pytest

from tests.transforms.quality.worlds import CHAMPION, SECOND, SHADOW, answers, cut, labels, put_together
from transforms.flow import segments
from transforms.labels.label_join import labels_table
from transforms.quality.joining import by_version, labelled_answers
from transforms.quality.pairing import pairs_of
from transforms.quality.sums import group_sums
from transforms.quality.sums.group_sums import EVENTS, sums_of
from transforms.quality.sums.pair_sums import sums_of_pairs
from transforms.quality.sums.sums_coder import encode_sums

WINDOW_US = 100 * SECOND
EVENTS_EACH = 3


def given(number: int, windows: int = 2) -> tuple[list[Any], Any]:
    """Answers of a champion and a shadow to three events of each of so many segments in each window."""
    ids = [f"e{at}" for at in range(number * EVENTS_EACH * windows)]
    times = [at % windows * WINDOW_US + at * 10 for at in range(len(ids))]
    origin = [f"s{at // windows // EVENTS_EACH}" for at in range(len(ids))]
    scores = np.random.default_rng(number).random((2, len(ids)))
    batches = [answers(by, ids, times, own, origin) for by, own in zip((CHAMPION, SHADOW), scores, strict=True)]
    return batches, labels(ids, [time + 1 for time in times], (scores[0] > 0.5).tolist())


def all_sums(batches: list[Any], known: Any) -> list[Any]:
    found = labelled_answers(by_version(batches), labels_table([known], known.schema.field("label").type), None)
    of_pairs = [(sums_of_pairs(paired, by, WINDOW_US), by) for by, paired in pairs_of(found)]
    return [(sums_of(beside, by, WINDOW_US), by) for by, beside in found.beside.items()] + of_pairs


def limited(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    codes, groups, others = segments.limited_codes, segments.limited_groups, segments.others_of
    monkeypatch.setattr(group_sums, "limited_codes", lambda window, of, texts: codes(window, of, texts, limit))
    monkeypatch.setattr(group_sums, "limited_groups", lambda of: groups(of, limit=limit))
    monkeypatch.setattr(group_sums, "others_of", lambda of: others(of, limit))


@pytest.mark.parametrize(("number", "limit"), [(40, 7), (300, 100)])
def test_segments_beyond_the_limit_are_one_and_no_order_or_grouping_changes_a_bit(
    monkeypatch: pytest.MonkeyPatch, number: int, limit: int
) -> None:
    limited(monkeypatch, limit)
    batches, known = given(number)
    wanted, rng = all_sums(batches, known), random.Random(number)
    parts = [all_sums([one, other], known) for one, other in zip(*(cut(rng, each, 5) for each in batches), strict=True)]
    for at, (sums, by) in enumerate(wanted):
        counts = sums.counts[:, EVENTS]
        of_others = [int(n) for n, (_, text) in zip(counts, sums.groups, strict=True) if "others than" in text]
        assert of_others == [(number - limit) * EVENTS_EACH] * 2
        assert len(sums.groups) == 2 * (1 + limit + 1)
        if at < 2:  # parts of pairs lack the other version's rows of the same events
            added = group_sums.added_sums([part[at][0] for part in rng.sample(parts, 5)])
            assert encode_sums(added) == encode_sums(sums)
            assert put_together([part[at][0] for part in parts], by) == put_together([sums], by)


def test_ten_thousand_segments_are_served() -> None:
    batches, known = given(10_000, windows=1)
    for sums, _ in all_sums(batches, known):
        assert len(sums.groups) == 1 + segments.MAX_SEGMENTS
        assert not any("others than" in text for _, text in sums.groups)
