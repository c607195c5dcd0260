"""Batches are split into windows and groups with the same result as a plain loop over rows."""

import pickle
from collections import Counter

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from models.profiles import build_profile, observe
from models.profiles.dependence import BLOCKS
from transforms.drift.drift_groups import GroupCounts, count_windows, split_by_version
from transforms.drift.drift_sums import Tally, decode_counts, dense, dense_blocks, encode_counts

HOUR = 3_600_000_000
FEATURES = ["carrier", "delay", "score"]


def scored(rows: int = 600, seed: int = 0) -> pa.RecordBatch:
    rng = np.random.default_rng(seed)
    version = rng.integers(1, 3, rows)
    return pa.record_batch(
        {
            "__event_time": pa.array(rng.integers(-3 * HOUR, 3 * HOUR, rows), pa.timestamp("us", "UTC")),
            "__version": [f"v{number}" for number in version],
            "__digest": [f"d{number}" for number in version],
            "__role": np.array(["champion", "shadow"])[rng.integers(0, 2, rows)],
            "score": rng.random(rows),
            "delay": pa.array(rng.normal(size=rows), mask=rng.random(rows) < 0.1),
            "carrier": np.array(["AA", "B6", "UA"])[rng.integers(0, 3, rows)],
            "origin": pa.array(np.array(["JFK", "", "null"])[rng.integers(0, 3, rows)], mask=rng.random(rows) < 0.2),
        }
    )


BATCH = scored()
PROFILE = build_profile(BATCH, FEATURES)


def test_versions_are_split_with_their_digests() -> None:
    parts = {(version, digest): rows.num_rows for version, digest, rows in split_by_version(BATCH)}
    assert parts == Counter(zip(BATCH["__version"].to_pylist(), BATCH["__digest"].to_pylist(), strict=True))


def expected_rows(batch: pa.RecordBatch) -> dict[tuple[int, str, str | None], list[int]]:
    rows: dict[tuple[int, str, str | None], list[int]] = {}
    columns = (batch["__event_time"].cast(pa.int64()), batch["__role"], batch["origin"])
    for row, (time, role, origin) in enumerate(zip(*(column.to_pylist() for column in columns), strict=True)):
        segment = "origin is null" if origin is None else f"origin={origin}"
        for group in (None, segment):
            rows.setdefault((time // HOUR * HOUR, role, group), []).append(row)
    return rows


def test_each_group_counts_its_own_rows() -> None:
    expected = expected_rows(BATCH)
    found = {
        (piece.window_start_us, *group): counts
        for piece in count_windows(PROFILE, BATCH, ("origin",), HOUR)
        for group, counts in zip(piece.counts.groups, dense([piece.counts]), strict=True)
    }
    assert found.keys() == expected.keys()
    for group, rows in expected.items():
        assert found[group].tolist() == observe(PROFILE, BATCH.take(rows)).tolist()


def test_each_piece_carries_a_time_inside_its_own_window() -> None:
    pieces = list(count_windows(PROFILE, BATCH, (), HOUR))
    assert sum(piece.rows for piece in pieces) == BATCH.num_rows
    assert [piece.window_start_us for piece in pieces] == [hour * HOUR for hour in range(-3, 3)]
    assert all(0 <= piece.latest_us - piece.window_start_us < HOUR for piece in pieces)


def added(parts: list[GroupCounts]) -> GroupCounts:
    tally = Tally()
    for part in parts:
        tally.add(part)
    return tally.sums()


def same(left: GroupCounts, right: GroupCounts) -> bool:
    blocks = [(counts.blocks.keys, counts.blocks.counts) for counts in (left, right)]
    equal = all(np.array_equal(one, other) for one, other in zip(*blocks, strict=True))
    return left.groups == right.groups and np.array_equal(dense([left]), dense([right])) and equal


def whole_day(batch: pa.RecordBatch) -> list[GroupCounts]:
    return [piece.counts for piece in count_windows(PROFILE, batch, ("origin", "carrier"), 24 * HOUR)]


def test_sums_do_not_depend_on_order_or_grouping() -> None:
    parts = [counts for start in range(0, 600, 50) for counts in whole_day(BATCH.slice(start, 50))]
    assert same(added(parts), added(parts[::-1]))
    assert same(added(parts), added([added(parts[:5]), added(parts[5:])]))
    assert same(added(parts), added(whole_day(BATCH)))


def test_an_empty_tally_adds_nothing() -> None:
    parts = whole_day(BATCH)
    assert same(added([Tally().sums(), *parts, Tally().sums()]), added(parts))


def test_counts_of_other_cells_do_not_add() -> None:
    other = build_profile(BATCH, ["score"])
    pieces = [piece.counts for piece in count_windows(other, BATCH, (), 24 * HOUR)]
    with pytest.raises(ValueError, match="cells cannot be added; expected: "):
        added([*whole_day(BATCH), *pieces])


def test_counts_survive_bytes_and_pickle() -> None:
    counts = added(whole_day(BATCH))
    assert same(decode_counts(encode_counts(counts)), counts)
    assert same(pickle.loads(pickle.dumps(counts)), counts)


def test_corrupt_or_foreign_bytes_are_an_error() -> None:
    encoded = encode_counts(added(whole_day(BATCH)))
    for corrupt in (b"", encoded[:-1], encoded.replace(b"\x98\x02", b"\x98\x03", 1)):
        with pytest.raises(ValueError, match=r"truncated|format 3 cannot be read; expected: format 2 or 1"):
            decode_counts(corrupt)


def test_counts_that_an_earlier_version_kept_are_read_and_added_to() -> None:
    counts = added(whole_day(BATCH))
    keys, values = (array.astype("<i8").tobytes() for array in (counts.keys, counts.counts))
    earlier = decode_counts(msgspec.msgpack.encode((1, counts.cells, counts.groups, keys, values)))
    assert not len(earlier.blocks.keys)
    both = added([earlier, counts])
    assert np.array_equal(dense([both]), 2 * dense([counts]))
    assert np.array_equal(both.blocks.counts, counts.blocks.counts)


def test_blocks_hold_the_classes_of_each_32nd_of_the_window() -> None:
    counts, classes = added(whole_day(BATCH)), PROFILE.classes
    whole = counts.groups.index(("champion", None))
    row_of = np.array([0 if group == ("champion", None) else -1 for group in counts.groups], np.int64)
    (blocks,) = dense_blocks([counts], row_of, 1, classes.size)
    by_class = np.bincount(classes.of_cell, weights=dense([counts])[whole], minlength=classes.size)
    assert blocks.shape == (BLOCKS, classes.size)
    assert blocks.sum(axis=0).tolist() == by_class.tolist()
    row_of_both = np.concatenate([np.where(row_of < 0, -1, at) for at in (1, 2)])
    nothing, *both = dense_blocks([counts, counts], row_of_both, 3, classes.size)
    assert not nothing.any(), "a group whose row is -1 is in none"
    assert all(np.array_equal(each, blocks) for each in both)
    assert not dense_blocks([counts], row_of, 1, classes.size + 1).any()
