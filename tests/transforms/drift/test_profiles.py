"""Reference profiles and counts observed on them: build, observe, add, pickle."""

import pickle

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.profiles import (
    MAX_BINS,
    CategoricalColumn,
    NumericColumn,
    Profile,
    UnsupportedColumn,
    build_profile,
    observe,
    parse_profile,
    serialise_profile,
)

ROWS = 5_000


def flights(seed: int = 0, rows: int = ROWS) -> pa.RecordBatch:
    rng = np.random.default_rng(seed)
    delays = np.where(rng.random(rows) < 0.3, 0.0, rng.normal(10, 30, rows))
    carriers = [f"c{number}" for number in rng.zipf(1.3, rows) % 150]
    return pa.record_batch(
        {
            "score": rng.random(rows),
            "delay": pa.array(delays, mask=rng.random(rows) < 0.1),
            "hour": rng.integers(0, 24, rows),
            "carrier": pa.array(carriers, mask=rng.random(rows) < 0.05),
            "night": rng.random(rows) < 0.2,
        }
    )


def profiled(batch: pa.RecordBatch) -> Profile:
    return build_profile(batch, batch.schema.names)


def numeric(values: object) -> NumericColumn:
    column = build_profile(pa.record_batch({"x": values}), ["x"]).columns[0]
    assert isinstance(column, NumericColumn)
    return column


def test_reference_is_what_is_observed_of_the_reference_rows() -> None:
    batch = flights()
    profile = profiled(batch)
    assert np.array_equal(observe(profile, batch), profile.reference)


def test_every_row_is_in_one_cell_of_each_column() -> None:
    profile, other = profiled(flights()), flights(seed=1, rows=777)
    counts = observe(profile, other)
    assert [int(counts[span].sum()) for span in profile.spans.values()] == [777] * len(profile.columns)


def test_order_of_rows_does_not_matter() -> None:
    batch = flights()
    shuffled = batch.take(pa.array(np.random.default_rng(2).permutation(ROWS)))
    assert profiled(shuffled) == profiled(batch)


def test_table_in_chunks_gives_the_same_profile() -> None:
    batch = flights()
    table = pa.Table.from_batches([batch.slice(0, 100), batch.slice(100)])
    assert build_profile(table, batch.schema.names) == profiled(batch)


def test_continuous_column_has_quantile_bins_of_equal_mass() -> None:
    column = numeric(np.random.default_rng(0).random(6_400))
    assert len(column.counts) == MAX_BINS + 2
    below, *bins, above = column.counts
    assert (below, above) == (0, 0)
    assert max(bins) - min(bins) <= 2


def test_frequent_value_has_a_bin_of_its_own() -> None:
    values = np.concatenate([np.zeros(500), np.linspace(-1, 1, 501)])
    column = numeric(values)
    assert len(column.counts) <= MAX_BINS
    assert column.counts[int(column.cells_of(pa.array([0.0]))[0])] == 501


def test_few_values_have_a_bin_each() -> None:
    column = numeric(pa.array([3, 1, 1, None, 2, 3, 3]))
    assert column.counts == (0, 2, 1, 3, 0)
    assert (column.nulls, column.n, column.min, column.max, column.mean) == (1, 7, 1.0, 3.0, 13 / 6)


def test_constant_column_sees_smaller_and_greater_values() -> None:
    column = numeric([5.0] * 10)
    assert column.cells_of(pa.array([4.0, 5.0, 6.0])).tolist() == [0, 1, 2]


def test_sixty_four_values_have_a_bin_each_and_sixty_five_have_quantiles() -> None:
    assert len(numeric(np.arange(64.0)).counts) == MAX_BINS + 2
    assert len(numeric(np.arange(65.0)).counts) == MAX_BINS + 2
    assert len(numeric(np.arange(65.0)).edges) < len(set(np.arange(65.0))) + 1


def test_nan_and_infinities_count_as_nulls() -> None:
    column = numeric([1.0, float("nan"), float("inf"), -float("inf")])
    assert (column.nulls, column.n, column.max) == (3, 4, 1.0)
    assert column.cells_of(pa.array([float("nan"), None, float("inf")])).tolist() == [3, 3, 3]


def test_extreme_numbers_keep_finite_moments() -> None:
    top = float(np.finfo(np.float64).max)
    assert numeric([top, top, -top]).mean == pytest.approx(top / 3)
    assert numeric(pa.array([2**63 - 1, -(2**63)])).counts == (0, 1, 1, 0)


def test_column_of_nulls_has_no_moments() -> None:
    column = numeric(pa.array([None, None], pa.float64()))
    assert (column.counts, column.nulls, column.min, column.mean) == ((0,), 2, None, None)


def test_texts_beyond_the_top_are_other_values() -> None:
    texts = pa.array([f"t{number:03}" for number in range(100)] + ["t099", None])
    column = build_profile(pa.record_batch({"t": texts}), ["t"]).columns[0]
    assert isinstance(column, CategoricalColumn)
    assert column.values[:2] == ("t099", "t000")
    assert (len(column.values), column.other, column.nulls, column.n) == (MAX_BINS, 36, 1, 102)


def test_unseen_texts_count_as_other_values() -> None:
    profile = build_profile(pa.record_batch({"t": ["a", "b", "a"]}), ["t"])
    seen = observe(profile, pa.record_batch({"t": ["b", "new", None, "newer"]}))
    assert seen.tolist() == [0, 1, 2, 1]


def test_dictionary_encoded_texts_are_texts() -> None:
    profile = build_profile(pa.record_batch({"t": pa.array(["a", None, "b"]).dictionary_encode()}), ["t"])
    assert profile == build_profile(pa.record_batch({"t": ["a", None, "b"]}), ["t"])


def test_booleans_are_false_and_true() -> None:
    profile = build_profile(pa.record_batch({"b": [True, None, True, False]}), ["b"])
    assert profile.columns[0].cells == (2, 1, 0, 1)
    assert observe(profile, pa.record_batch({"b": [False, None]})).tolist() == [0, 1, 0, 1]


def test_absent_and_misfitting_columns_count_nothing() -> None:
    profile = build_profile(pa.record_batch({"a": [1.0], "b": ["x"], "c": [2.0]}), "abc")
    batch = pa.record_batch({"b": [1.0, 2.0], "c": [1.0, 2.0]})
    assert [column.name for column in profile.observable(batch.schema)] == ["c"]
    assert int(observe(profile, batch).sum()) == 2


@pytest.mark.parametrize("values", [pa.array([b"x"]), pa.array([[1]]), pa.nulls(1)])
def test_unsupported_type_is_named(values: pa.Array) -> None:
    with pytest.raises(UnsupportedColumn, match=r"column 'x' has type .*; allowed: integers"):
        build_profile(pa.record_batch({"x": values}), ["x"])


def test_unknown_column_is_named_with_those_there_are() -> None:
    with pytest.raises(UnsupportedColumn, match=r"column 'y' .* expected: x"):
        build_profile(pa.record_batch({"x": [1]}), ["y"])


def test_counts_add_up_over_parts() -> None:
    profile, batch = profiled(flights()), flights(seed=3)
    parts = [observe(profile, batch.slice(start, 999)) for start in range(0, ROWS, 999)]
    assert np.sum(parts, axis=0).tolist() == observe(profile, batch).tolist()


@given(st.lists(st.one_of(st.none(), st.floats(), st.integers(-3, 3).map(float)), max_size=80), st.integers(0, 80))
def test_any_split_of_any_numbers_adds_up(values: list[float | None], cut: int) -> None:
    batch = pa.record_batch({"x": pa.array(values, pa.float64())})
    profile = profiled(batch)
    parts = [observe(profile, batch.slice(0, cut)), observe(profile, batch.slice(cut))]
    assert np.sum(parts, axis=0).tolist() == profile.reference.tolist()
    assert parse_profile(serialise_profile(profile)) == profile


def test_profile_and_counts_survive_pickling() -> None:
    profile = profiled(flights())
    seen = observe(profile, flights(seed=4))
    again, counts = pickle.loads(pickle.dumps((profile, seen)))
    assert again == profile
    assert counts.tolist() == seen.tolist()


def test_serialised_profile_counts_the_same() -> None:
    profile, batch = profiled(flights()), flights(seed=5)
    again = parse_profile(serialise_profile(profile))
    assert again == profile
    assert observe(again, batch).tolist() == observe(profile, batch).tolist()
