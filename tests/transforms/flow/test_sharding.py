"""Shards: every row is in exactly one, which is the same on every worker and in every run."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.flow.sharding import hash_ids, hash_values, split_by_shard

# State on disk is keyed by these: if one changes, a restored job looks for its state in the wrong shards.
PINNED = {"": 0x186DA64456263A46, "JFK": 0x488E6F4D221674D9, "ä": 0x0259D8895492F2DE, None: 0}


def test_hashes_that_state_depends_on_are_pinned() -> None:
    assert hash_values(pa.array(list(PINNED), pa.string())).tolist() == list(PINNED.values())
    assert hash_values(pa.array([0, 1, None])).tolist() == [0, 0x5692161D100B05E5, 0]
    assert len(set(hash_values(pa.array([0.0, -0.0])).tolist())) == 1


@given(st.lists(st.one_of(st.none(), st.text(max_size=5)), max_size=30))
def test_hash_of_a_text_does_not_depend_on_its_neighbours(texts: list[str | None]) -> None:
    alone = [int(hash_values(pa.array([text], pa.string()))[0]) for text in texts]
    assert hash_values(pa.array(texts, pa.string())).tolist() == alone


@given(st.lists(st.text(max_size=5), max_size=30))
def test_ids_hash_like_other_texts(texts: list[str]) -> None:
    ids = pa.array(texts, pa.string())
    assert hash_ids(ids).tolist() == hash_values(ids).tolist()


@pytest.mark.parametrize("shards", [1, 2, 8, 64])
def test_rows_are_in_one_shard_each_and_keep_their_order(shards: int) -> None:
    hashes = np.array([5, 0, 2**64 - 1, 13, 5, 8], np.uint64)
    split = split_by_shard(pa.record_batch({"row": list(range(6))}), hashes, shards)
    assert [shard for shard, _ in split] == sorted({int(value) % shards for value in hashes.tolist()})
    rows = {shard: batch.column("row").to_pylist() for shard, batch in split}
    assert rows == {shard: [row for row in range(6) if int(hashes[row]) % shards == shard] for shard in rows}
