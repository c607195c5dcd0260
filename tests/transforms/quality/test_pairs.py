"""Two versions on the same events: each number is that of pandas, SciPy and scikit-learn on the rows side by side."""

import random
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats  # type: ignore[import-untyped]  # ships no types

from tests.transforms.quality.worlds import (
    CHALLENGER,
    CHAMPION,
    NUMBERS,
    SECOND,
    SHADOW,
    answers,
    cut,
    labels,
    records_of,
)
from transforms.flow.sharding import hash_ids, split_by_shard
from transforms.labels.label_join import labels_table
from transforms.quality.answers import ScoredBy
from transforms.quality.joining import by_version, labelled_answers
from transforms.quality.measuring.pair_measures import _quantile
from transforms.quality.pairing import pairs_of
from transforms.quality.sums.joint_tables import MAX_CELLS, joint_table, merged_joint, rank_correlation
from transforms.quality.sums.pair_sums import PairSums, added_pairs, sums_of_pairs
from transforms.quality.sums.score_tables import score_keys, score_table
from transforms.quality.sums.sums_coder import decode_sums, encode_sums

WINDOW_US = 100 * SECOND
ENDS = {"low": 1, "high": -1}
QUANTILES = {"difference_p05": 0.05, "difference_p50": 0.5, "difference_p95": 0.95}


def rows(seed: int, events: int) -> pd.DataFrame:
    """Events of one window, scored by a champion and, near it, by a shadow; two of three have a label."""
    rng = np.random.default_rng(seed)
    own = np.round(rng.beta(1, 3, events), 3)
    return pd.DataFrame(
        {
            "id": [f"e{number}" for number in range(events)],
            "at": np.sort(rng.integers(0, 100, events)) * SECOND,
            "champion": own,
            "shadow": np.round(np.clip(own + rng.normal(0.05, 0.1, events), 0.01, 0.99), 3),
            "latency": rng.integers(50, 90, events),
            "latency_shadow": rng.integers(20, 200, events),
            "label": rng.random(events) < own,
            "known": rng.random(events) < 0.66,
        }
    )


def given(frame: pd.DataFrame) -> tuple[list[pa.RecordBatch], pa.RecordBatch]:
    """Some events are of the champion or the shadow alone."""
    one, two = frame.iloc[: -len(frame) // 10], frame.iloc[len(frame) // 10 :]
    known = frame[frame.known]
    return [
        answers(CHAMPION, one["id"].tolist(), one["at"].tolist(), one["champion"], latency=one["latency"].tolist()),
        answers(SHADOW, two["id"].tolist(), two["at"].tolist(), two["shadow"], latency=two["latency_shadow"].tolist()),
    ], labels(known["id"].tolist(), (known["at"] + SECOND).tolist(), known["label"].tolist())


def paired(found: list[Any], segment: str = "") -> dict[str, Any]:
    return {row["metric"]: row for row in found if row["against"] and row["segment"] == segment}


def log_loss(label: Any, score: Any) -> Any:
    return -np.log(np.where(label, score, 1 - score))


@pytest.mark.parametrize(("seed", "events"), [(1, 40), (2, 900), (3, 3000)])
def test_each_number_of_a_pair_is_that_of_pandas_and_scipy_on_the_rows_side_by_side(seed: int, events: int) -> None:
    frame = rows(seed, events)
    both = frame.iloc[events // 10 : -events // 10]
    both = both.assign(difference=both.shadow - both.champion)
    truths = both[both.known]
    champion = np.clip(truths.champion, 2**-52, 1 - 2**-52)
    loss = pd.Series(log_loss(truths.label, truths.shadow) - log_loss(truths.label, champion))
    found = paired(records_of(*given(frame)))
    wanted = {
        "difference": both.difference.mean(),
        **{name: both.difference.quantile(share) for name, share in QUANTILES.items()},
        "flips_to_positive": ((both.shadow >= 0.4) & (both.champion < 0.5)).mean(),
        "flips_to_negative": ((both.shadow < 0.4) & (both.champion >= 0.5)).mean(),
        "rank_agreement": stats.spearmanr(both.shadow, both.champion).statistic,
        "latency_difference": (both.latency_shadow - both.latency).mean(),
        "loss_difference": loss.mean(),
    }
    assert list(found) == list(wanted)
    assert {name: found[name]["value"] for name in wanted} == pytest.approx(wanted)
    assert found["loss_difference"]["variance"] == pytest.approx(loss.var())
    assert found["difference"]["variance"] == pytest.approx(both.difference.var())
    ends = [(row[end], sign * row[end], sign * row["value"]) for row in found.values() for end, sign in ENDS.items()
            if row[end] is not None]  # fmt: skip
    assert len(ends) >= 16
    assert all(end <= value for _, end, value in ends)
    assert {row["n"] for name, row in found.items() if name != "loss_difference"} == {len(both)}
    last = found["loss_difference"]
    assert (last["n"], last["events"], last["label_coverage"]) == (len(truths), len(both), len(truths) / len(both))
    assert (last["version"], last["role"], last["against"]) == ("v2", "shadow", "v1")


def test_the_interval_of_the_difference_of_losses_is_that_of_a_paired_t_test_for_what_events_are_worth() -> None:
    frame = rows(4, 2000)
    found = paired(records_of(*given(frame)))["loss_difference"]
    assert 8 < found["n_effective"] <= found["n"]
    half = stats.t.ppf(0.975, found["n_effective"] - 1) * np.sqrt(found["variance"] / found["n_effective"])
    assert (found["low"], found["high"]) == pytest.approx((found["value"] - half, found["value"] + half), rel=1e-3)


def all_sums(given: list[pa.RecordBatch], known: pa.RecordBatch) -> dict[Any, PairSums]:
    kind = known.schema.field("label").type
    parts: dict[Any, list[PairSums]] = {}
    for by, both in pairs_of(labelled_answers(by_version(given), labels_table([known], kind), None)):
        parts.setdefault(by, []).append(sums_of_pairs(both, by, WINDOW_US))
    return {by: added_pairs(sums) for by, sums in parts.items()}


@pytest.mark.parametrize(("shards", "parts"), [(3, 1), (8, 4)])
def test_any_order_and_sharding_gives_the_same_bits(shards: int, parts: int) -> None:
    rng, (whole, known) = random.Random(shards), given(rows(5, 1500))
    wanted = all_sums(whole, known)
    found: dict[Any, list[PairSums]] = {}
    pieces = [(shard, piece) for batch in whole for shard, piece in _sharded(batch, "__event_id", shards)]
    for shard, own in _sharded(known, "event_id", shards):
        some = [piece for other, batch in pieces if other == shard for piece in cut(rng, batch, parts)]
        for by, sums in all_sums(rng.sample(some, len(some)), own).items():
            found.setdefault(by, []).append(decode_sums(encode_sums(sums)))  # type: ignore[arg-type]
    assert {by: encode_sums(added_pairs(sums)) for by, sums in found.items()} == {
        by: encode_sums(sums) for by, sums in wanted.items()
    }


def test_ten_thousand_segments_of_an_event_each_are_small() -> None:
    ids, rng = [f"e{number}" for number in range(10_000)], np.random.default_rng(6)
    some = [answers(by, ids, [SECOND] * len(ids), rng.random(len(ids)), ids) for by in (CHAMPION, SHADOW)]
    (sums,) = all_sums(some, labels([], [], [], pa.bool_())).values()
    assert len(sums.groups) == 10_001
    assert len(encode_sums(sums)) < 4_000_000


def _sharded(batch: pa.RecordBatch, column: str, shards: int) -> list[tuple[int, pa.RecordBatch]]:
    return split_by_shard(batch, hash_ids(batch.column(column)), shards)


def pairs(*roles: tuple[ScoredBy, list[str]]) -> dict[tuple[str, str, str], int]:
    """How many events of each (version, role, against) are compared."""
    batches_of = [answers(by, ids, [SECOND] * len(ids), [0.5] * len(ids)) for by, ids in roles]
    found = records_of(batches_of, labels([], [], [], pa.bool_()))
    return {(row["version"], row["role"], row["against"]): row["n"] for row in found
            if row["metric"] == "difference" and row["segment"] == ""}  # fmt: skip


def test_a_challenger_is_compared_where_a_shadow_or_the_champion_beside_it_scored_the_same_events() -> None:
    beside = msgspec.structs.replace(CHAMPION, role="shadow")
    arms = (CHAMPION, ["a", "b", "c"]), (CHALLENGER, ["d", "e"])
    assert pairs(*arms) == {}
    assert pairs(*arms, (SHADOW, list("cbade"))) == {
        ("v2", "shadow", "v1"): 3, ("v2", "shadow", "v4"): 2, ("v4", "challenger", "v2"): 2,
    }  # fmt: skip
    assert pairs(*arms, (beside, list("abcde"))) == {("v1", "shadow", "v4"): 2, ("v4", "challenger", "v1"): 2}


def test_a_version_that_had_two_roles_is_compared_as_one() -> None:
    """v1 was the champion for a part of the window and a challenger for the rest."""
    challenger = msgspec.structs.replace(CHAMPION, role="challenger")
    found = pairs((CHAMPION, ["a", "b"]), (challenger, ["c"]), (SHADOW, ["a", "b", "c"]))
    assert found == {("v2", "shadow", "v1"): 3, ("v1", "challenger", "v2"): 1}


def test_two_shadows_are_compared_and_an_event_of_another_time_is_another_event() -> None:
    other = msgspec.structs.replace(SHADOW, version="v3", digest="d3")
    assert pairs((SHADOW, ["a"]), (other, ["a", "b"])) == {("v3", "shadow", "v2"): 1}
    late = answers(CHAMPION, ["a"], [2 * SECOND], [0.5])
    assert [row for row in records_of([late, answers(SHADOW, ["a"], [SECOND], [0.5])], labels([], [], [], pa.bool_()))
            if row["against"]] == []  # fmt: skip


CLASSES = ScoredBy("v5", "shadow", "d5", "class", None, None)


@pytest.mark.parametrize(
    ("own", "kind", "null"),
    [
        (msgspec.structs.replace(NUMBERS, role="shadow"), pa.float64(), {"loss_difference", "difference"}),
        (CLASSES, pa.bool_(), {"loss_difference", "difference"}),
        (msgspec.structs.replace(SHADOW, positive="in time"), pa.bool_(), {"difference"}),
        (msgspec.structs.replace(SHADOW, threshold=None), pa.bool_(), {"flips_to_positive"}),
        (SHADOW, pa.int64(), {"loss_difference"}),
    ],
)
def test_what_cannot_be_compared_is_null_and_says_why(own: ScoredBy, kind: Any, null: set[str]) -> None:
    some = [answers(by, ["a", "b"], [SECOND, SECOND], [0.1, 0.7]) for by in (CHAMPION, own)]
    value = {pa.float64(): 2.0, pa.bool_(): True, pa.int64(): 2}[kind]
    found = paired(records_of(some, labels(["a"], [2 * SECOND], [value], kind)))
    assert {name for name in found if found[name]["value"] is None} >= null
    assert all(row["why"] for row in found.values() if row["value"] is None)


def test_equal_scores_one_pair_and_no_labels_have_defined_results() -> None:
    some = [answers(by, ["a"], [SECOND], [0.7], latency=[5]) for by in (CHAMPION, SHADOW)]
    found = paired(records_of(some, labels([], [], [], pa.bool_())))
    values = {name: (row["value"], row["low"]) for name, row in found.items()}
    assert values.pop("flips_to_positive")[0] == values.pop("flips_to_negative")[0] == 0.0
    assert values.pop("latency_difference") == (0.0, None)
    assert values.pop("rank_agreement") == values.pop("loss_difference") == (None, None)
    assert {value for value, _ in values.values()} == {0.0}
    assert (found["rank_agreement"]["why"], found["loss_difference"]["why"]) == (
        "all scores of a version are equal",
        "no pair has a label",
    )


def test_numbers_near_the_end_of_what_floats_hold_are_in_no_metric_and_stop_nothing() -> None:
    shadow = msgspec.structs.replace(NUMBERS, version="v9", role="shadow")
    some = [
        answers(by, list("abc"), [SECOND] * 3, [sign * 1e308, 1.0, 3.0]) for by, sign in ((NUMBERS, 1), (shadow, -1))
    ]
    found = records_of(some, labels(list("abc"), [2 * SECOND] * 3, [1.0, 1e80, 2.5], pa.float64()))
    mae = next(row for row in found if row["metric"] == "mae")
    both = paired(found)
    assert (mae["value"], mae["n"]) == (0.5, 1)
    assert (both["loss_difference"]["value"], both["loss_difference"]["n"]) == (0.0, 1)
    assert (both["difference_p50"]["value"], both["difference"]["value"]) == (0.0, pytest.approx(-1e75 / 3))


def test_where_only_accepted_events_get_labels_losses_are_said_to_be_of_those() -> None:
    ids, champion = [f"e{number}" for number in range(200)], [0.1, 0.9] * 100
    some = [answers(CHAMPION, ids, [SECOND] * 200, champion), answers(SHADOW, ids, [SECOND] * 200, [0.3, 0.8] * 100)]
    accepted = [each for each, score in zip(ids, champion, strict=True) if score < 0.5]
    known = labels(accepted, [2 * SECOND] * 100, [False] * 100)
    wanted = "only events decided as 'not positive' have labels, 50 % of the events: this is the quality of those alone"
    assert paired(records_of(some, known))["loss_difference"]["why"] == wanted
    both = labels(ids, [2 * SECOND] * 200, [False] * 200)
    assert paired(records_of(some, both))["loss_difference"]["why"] is None


def test_beyond_the_cells_that_are_told_apart_rank_agreement_is_within_its_bound() -> None:
    rng = np.random.default_rng(7)
    own = rng.normal(size=50_000)
    for noise in (0.05, 5.0):
        other = own + noise * rng.normal(size=len(own))
        none = np.zeros(len(own), np.int64)
        found = rank_correlation(joint_table(none, score_keys(own), score_keys(other), 1))
        true = stats.spearmanr(own, other).statistic
        assert 0 < abs(found.value[0] - true) <= found.off_by[0] < 0.1, (noise, found, true)


def test_tables_that_lost_digits_are_the_same_in_any_order() -> None:
    rng = np.random.default_rng(8)
    own, other, group = rng.normal(size=3000), rng.normal(size=3000), rng.integers(0, 2, 3000)
    whole = joint_table(group, score_keys(own), score_keys(other), 2, limit=200)
    parts = [joint_table(group[at], score_keys(own[at]), score_keys(other[at]), 2, limit=200)
             for at in np.array_split(rng.permutation(3000), 7)]  # fmt: skip
    found = merged_joint([(part, np.arange(2)) for part in parts], 2, limit=200)
    assert all((one == two).all() for one, two in zip(found, whole, strict=True))
    assert (whole.lost > 0).all()
    assert np.bincount(whole.group).max() <= 200 < MAX_CELLS


def test_quantiles_of_differences_that_lost_digits_are_near_and_their_intervals_contain_the_exact_ones() -> None:
    rng = np.random.default_rng(9)
    numbers = rng.normal(0.01, 0.1, 50_000)
    none, every = np.zeros(len(numbers), np.int64), np.ones(len(numbers), np.bool_)
    table = score_table(none, score_keys(numbers), every, 1, limit=500)
    for share in QUANTILES.values():
        found = _quantile(table, share, np.array([len(numbers)], np.float64), np.array([np.nan]))
        exact = float(np.quantile(numbers, share))
        assert found.value[0] == pytest.approx(exact, rel=0.1)
        assert found.interval.low[0] <= exact <= found.interval.high[0]
