"""Sums of other windows are put end to end as they would be added up, to the byte."""

from typing import Any

import pytest

from tests.transforms.quality.worlds import SECOND, world
from transforms.labels.label_join import labels_table
from transforms.quality.joining import by_version, labelled_answers
from transforms.quality.pairing import pairs_of
from transforms.quality.sums.end_to_end import end_to_end
from transforms.quality.sums.group_sums import GroupSums, sums_of
from transforms.quality.sums.pair_sums import PairSums, sums_of_pairs
from transforms.quality.sums.sums_coder import added_any, encode_sums

WINDOW_US = 50 * SECOND


def sums(labelled: bool) -> list[GroupSums | PairSums]:
    """Of two versions and their pair, over several windows; without any label some sums have no digits."""
    answers, known = world(7)
    table = labels_table([known if labelled else known.slice(0, 0)], known.schema.field("label").type)
    found = labelled_answers(by_version(answers), table, None)
    own = [sums_of(beside, by, WINDOW_US) for by, beside in found.beside.items()]
    return [*own, *(sums_of_pairs(paired, pair, WINDOW_US) for pair, paired in pairs_of(found))]


@pytest.mark.parametrize("labelled", [True, False])
def test_windows_apart_and_end_to_end_are_the_whole(labelled: bool) -> None:
    for whole in sums(labelled):
        starts = sorted({start for start, _ in whole.groups})
        parts: list[Any] = [
            whole.chosen([at for at, (own, _) in enumerate(whole.groups) if own == start]) for start in starts
        ]
        assert len(parts) > 1
        added = encode_sums(added_any(parts))
        assert encode_sums(end_to_end(parts)) == added
        assert encode_sums(end_to_end(parts[::-1])) == added
        assert end_to_end(parts[:1]) is parts[0]
