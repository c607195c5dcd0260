"""Each statistic of drift equals SciPy's on the same data, and is defined for any column."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats  # type: ignore[import-untyped]  # ships no types
from scipy.spatial import distance  # type: ignore[import-untyped]

from models.profiles import Profile, build_profile, observe
from models.profiles.columns import Ints
from models.profiles.measuring import STATISTICS, effects_of, measure
from pipeline.spec.job import drift_spec

RNG = np.random.default_rng(3)
TEXTS = np.array(["AA", "B6", "UA", "WN"])
REFERENCE = pa.record_batch(
    {
        "seats": RNG.integers(50, 60, 3_000),
        "delay": RNG.normal(size=3_000),
        "carrier": TEXTS[RNG.integers(0, 3, 3_000)],
        "empty": pa.array([None] * 3_000, pa.float64()),
        "constant": np.full(3_000, 5.0),
    }
)
PROFILE = build_profile(REFERENCE, REFERENCE.schema.names)
ROWS = 400
WINDOW = pa.record_batch(
    {
        "seats": pa.array(RNG.integers(48, 62, ROWS), mask=RNG.random(ROWS) < 0.2),
        "delay": RNG.normal(0.7, 1.5, ROWS),
        "carrier": TEXTS[RNG.integers(1, 4, ROWS)],
        "empty": RNG.normal(size=ROWS),
        "constant": np.full(ROWS, 6.0),
    }
)


def value(statistic: str, column: str, window: pa.RecordBatch = WINDOW, profile: Profile = PROFILE) -> float:
    found = measure(profile, observe(profile, window)[None, :], statistic)
    assert found is not None
    return float(found.value[0, found.names.index(column)])


def cells(column: str) -> tuple[Ints, Ints]:
    span = PROFILE.spans[column]
    return PROFILE.reference[span], observe(PROFILE, WINDOW)[span]


def known(batch: pa.RecordBatch, column: str) -> Any:
    return batch[column].drop_null().to_numpy(zero_copy_only=False)


@pytest.mark.parametrize("column", ["carrier", "seats", "delay"])
def test_statistics_of_shares_equal_scipys(column: str) -> None:
    reference, seen = cells(column)
    some = (reference + seen) > 0
    table = np.stack([reference, seen])[:, some]
    assert value("chi2", column) == pytest.approx(stats.chi2_contingency(table, correction=False).statistic, rel=1e-12)
    assert value("jensen_shannon", column) == pytest.approx(distance.jensenshannon(reference, seen, base=2), rel=1e-12)
    roots = [np.sqrt(side / side.sum()) for side in (reference, seen)]
    assert value("hellinger", column) == pytest.approx(distance.euclidean(*roots) / np.sqrt(2), rel=1e-12)


def test_wasserstein_of_few_values_within_the_range_is_scipys() -> None:
    seen = np.clip(known(WINDOW, "seats"), 50, 59)
    window = pa.record_batch({"seats": seen})
    expected = stats.wasserstein_distance(known(REFERENCE, "seats"), seen) / np.std(known(REFERENCE, "seats"))
    assert value("wasserstein", "seats", window) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("shift", [0.0, 0.25, 1.0])
def test_wasserstein_of_a_continuous_column_is_near_scipys(shift: float) -> None:
    seen = np.random.default_rng(5).normal(shift, 1, 4_000)
    expected = stats.wasserstein_distance(known(REFERENCE, "delay"), seen) / np.std(known(REFERENCE, "delay"))
    assert value("wasserstein", "delay", pa.record_batch({"delay": seen})) == pytest.approx(expected, rel=0.1, abs=0.02)


def test_rates_are_shares_of_rows() -> None:
    nulls = WINDOW["seats"].null_count
    outside = int(np.sum((known(WINDOW, "seats") < 50) | (known(WINDOW, "seats") > 59)))
    assert value("missing_rate", "seats") == nulls / ROWS
    assert value("out_of_range_rate", "seats") == outside / (ROWS - nulls)
    assert value("new_category_rate", "carrier") == np.mean(known(WINDOW, "carrier") == "WN")
    low, high = known(REFERENCE, "delay").min(), known(REFERENCE, "delay").max()
    beyond = np.mean((known(WINDOW, "delay") < low) | (known(WINDOW, "delay") > high))
    assert value("out_of_range_rate", "delay") == beyond > 0
    assert value("out_of_range_rate", "constant") == 1


@pytest.mark.parametrize("statistic", STATISTICS)
def test_every_statistic_is_finite_and_zero_of_the_reference_itself(statistic: str) -> None:
    for counts in (observe(PROFILE, REFERENCE), observe(PROFILE, WINDOW), np.zeros(len(PROFILE.reference), np.int64)):
        found = measure(PROFILE, counts[None, :], statistic)
        assert found is not None
        assert np.isfinite(found.value).all()
    if not statistic.endswith("_rate"):
        own = measure(PROFILE, PROFILE.reference[None, :], statistic)
        assert own is not None
        assert own.value == pytest.approx(np.zeros_like(own.value), abs=1e-12)


def test_effects_are_signed_deviations_of_numbers_and_shares_of_texts() -> None:
    fallen = pa.record_batch(
        {"delay": known(REFERENCE, "delay") - 1, "carrier": ["WN"] * 3_000, "constant": [6.0] * 3_000}
    )
    effect = dict(zip(PROFILE.spans, effects_of(PROFILE, observe(PROFILE, fallen)[None, :])[0].tolist(), strict=True))
    assert effect["delay"] == pytest.approx(-1, abs=0.05)
    assert (effect["carrier"], effect["constant"]) == (1.0, 1.0)


def test_thresholds_of_the_spec_have_short_forms_and_defaults() -> None:
    limits = drift_spec({"drift": {"psi": 0.3, "ks": 0.3, "thresholds": {"ks": 0.15, "chi2": 0}}}).limits
    rates = {"missing_rate": 0.02, "new_category_rate": 0.02, "out_of_range_rate": 0.02}
    assert limits == {"psi": 0.3, "ks": 0.15, "chi2": 0.0, **rates}
    assert drift_spec({}).limits == {"psi": 0.2, "ks": 0.1, **rates}
