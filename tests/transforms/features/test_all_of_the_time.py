"""Windows that begin with the first event: their state is bounded, and late events get what they may see."""

from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipeline.reporting.saying import beginning_of
from pipeline.spec.job import parse_job
from schemas import batches
from schemas.job import FeatureSpec
from tests.reference.frames import differences, events_batch, expected_feature
from tests.reference.reference import AFTER_ALL, BEFORE_ALL, Window, aggregate_at, histories, of_nothing
from transforms.features.aggregates import AGGREGATES
from transforms.features.feature_state import FeatureState, Layout, advance, check_fits, features_of, forgotten_at
from transforms.features.key_plans import observations, plan_key
from transforms.features.tiles import fold
from transforms.flow.state import StateFormatMismatch

MINUTE = 60_000_000
LATENESS = 10 * MINUTE
COLUMNS = {"key": "string", "value": "number"}
OF_ALL = [name for name, aggregate in AGGREGATES.items() if aggregate.of_all]
FEATURES = [FeatureSpec(name, "key", "value", name, None, 5 * MINUTE) for name in OF_ALL]
BESIDE = [FeatureSpec("hour", "key", "value", "sum", 60 * MINUTE, 15 * MINUTE)]
Features = list[FeatureSpec]


def frame(rows: list[tuple[int, str, float | None]], first: int = 0) -> pd.DataFrame:
    made = pd.DataFrame([(key, value) for _, key, value in rows], columns=list(COLUMNS)).astype(object)
    made["departed_at"] = [second * MINUTE // 60 for second, _, _ in rows]
    made["id"] = [f"{first + index:04d}" for index in range(len(rows))]
    return made


def story(seed: int, delays: tuple[int, ...] = (0, 0, 0, 300, 900, 7_200)) -> tuple[list[pd.DataFrame], list[int]]:
    """Batches of events and the watermarks that they meet; most are in time, some late, some too late for anything."""
    random, frames, watermarks, number = Random(seed), list[pd.DataFrame](), [BEFORE_ALL], 0
    for batch in range(30):
        late = [random.choice(delays) for _ in range(8)]
        seconds = [max(0, batch * 600 + random.randrange(600) - each) for each in late]
        values = [random.choice((None, random.gauss(1e3, 1.0), random.gauss(0, 1e9))) for _ in seconds]
        frames.append(frame([(at, random.choice("AB"), v) for at, v in zip(seconds, values, strict=True)], number))
        number += len(seconds)
        watermarks.append((batch + 1) * 10 * MINUTE - random.randrange(300) * MINUTE // 60)
    return frames, watermarks[:-1]


def played(
    features: Features, frames: list[pd.DataFrame], watermarks: list[int], last: int = AFTER_ALL
) -> tuple[list[Any], FeatureState]:
    plan, state, rows = plan_key(features, "key"), FeatureState(), list[dict[str, Any]]()
    for events, watermark in zip([*frames, None], [*watermarks, last], strict=True):
        due, *_ = advance(plan, state, watermark, LATENESS, 100)
        rows += [] if due is None else due.to_pylist()
        if events is not None:
            numbers = pa.array([int(name) for name in events["id"]])
            seen = observations(plan, batches.with_column(events_batch(events, COLUMNS), batches.ROW, numbers))
            state.waiting.append(seen)
            state.open_rows.append(seen)
            due, *_ = advance(plan, state, state.watermark_us, LATENESS, 100)
            rows += [] if due is None else due.to_pylist()
    return sorted(rows, key=lambda row: int(row[batches.ROW])), state


def expected(frames: list[pd.DataFrame], watermarks: list[int], feature: FeatureSpec, longest_us: int) -> list[Any]:
    """By brute force: an event that waits sees what arrives before the watermark reaches T, another what has arrived;
    nothing is seen that arrived later than it may, and by nothing whose T lies further back than that."""
    met, events = np.array([*watermarks, AFTER_ALL]), pd.concat(frames)
    batch_of = np.repeat(np.arange(len(frames)), [len(each) for each in frames])
    first_kept = (met - longest_us - LATENESS) // (5 * MINUTE) * 5 * MINUTE
    found: list[Any] = [of_nothing(feature.aggregate)] * len(events)
    for history in histories(events, "key", "value", "departed_at", "id").values():
        arrived = batch_of[history.indexes]
        counts = history.times // (5 * MINUTE) * 5 * MINUTE >= first_kept[arrived]
        for at, batch, index in zip(history.times.tolist(), arrived, history.indexes, strict=True):
            end = at // feature.every_us * feature.every_us
            seen = arrived <= batch if end <= met[batch] else arrived < int(np.argmax(met >= end))
            window = Window(end, 0)
            found[index] = aggregate_at(history, counts & seen & (history.times < end), at, feature.aggregate, window)
            if end <= met[batch] and end < first_kept[batch]:
                found[index] = None
    return [None if found is None or pd.isna(found) else found for found in found]


@pytest.mark.parametrize("beside", [[], BESIDE], ids=["alone", "beside-an-hour"])
def test_late_events_see_what_came_before_them_and_no_more(beside: Features) -> None:
    frames, watermarks = story(3)
    rows, _ = played([*FEATURES, *beside], frames, watermarks)
    longest_us = plan_key([*FEATURES, *beside], "key").longest_us
    nulls = 0
    for feature in FEATURES:
        theirs = expected(frames, watermarks, feature, longest_us)
        assert differences([row[feature.name] for row in rows], theirs, 1e9) == [], feature.name
        nulls += theirs.count(None) if feature.aggregate == "count" else 0
    assert nulls > 0


@pytest.mark.parametrize("seed", range(4))
def test_stream_that_drops_its_old_tiles_has_the_bits_of_all_events_at_once(seed: int) -> None:
    frames, watermarks = story(seed, (0,))
    rows, state = played([*FEATURES, *BESIDE], frames, watermarks, watermarks[-1])
    later, _ = played([*FEATURES, *BESIDE], frames, watermarks)
    plan, events = plan_key([*FEATURES, *BESIDE], "key"), pd.concat(frames, ignore_index=True)
    numbered = batches.with_column(events_batch(events, COLUMNS), batches.ROW, pa.array(range(len(events))))
    seen = observations(plan, numbered)
    assert later == features_of(plan, fold(plan, seen, 100), seen).to_pylist()
    assert rows == later[: len(rows)]
    assert state.tiles is not None


def test_answers_of_all_at_once_are_those_of_the_reference() -> None:
    events = pd.concat(story(4)[0], ignore_index=True)
    plan = plan_key(FEATURES, "key")
    seen = observations(plan, events_batch(events, COLUMNS))
    table = features_of(plan, fold(plan, seen, 100), seen)
    for feature in FEATURES:
        scale = 1e18 if feature.aggregate == "variance" else 1e9
        assert differences(table.column(feature.name).to_pylist(), expected_feature(events, feature), scale) == []


def test_state_has_one_tile_for_each_key_of_what_is_old() -> None:
    frames, watermarks = story(5)
    _, state = played([*FEATURES, *BESIDE], frames[:20], watermarks[:20])
    assert state.tiles is not None
    lasting = {name: table for name, table in state.tiles.tiles.items() if "all" in name}
    assert {len(table.code) for table in lasting.values()} == {2}
    assert len(lasting) == 2
    assert {len(np.unique(values.tile)) for values in state.tiles.values.values()} == {1}
    plan = plan_key(FEATURES, "key")
    assert forgotten_at(plan, FeatureState(tiles=state.tiles), LATENESS) is None


def test_job_that_kept_only_an_hour_so_far_does_not_answer_for_all_of_the_time() -> None:
    frames, watermarks = story(6)
    _, state = played([FeatureSpec("n", "key", "value", "count", 60 * MINUTE, 5 * MINUTE)], frames, watermarks, 10**9)
    plan, layout = plan_key(FEATURES[:1], "key"), Layout(5 * MINUTE, 1)
    with pytest.raises(StateFormatMismatch, match="has nothing of value all"):
        check_fits(plan, state, layout, layout)


@pytest.mark.parametrize(("names", "said"), [([], ""), (["a"], "the window of a begins"), (["a", "b"], "a, b begin")])
def test_stream_says_where_such_windows_begin(names: list[str], said: str) -> None:
    features = [{"name": n, "key": "k", "aggregate": "count", "size": "all", "every": "1ms"} for n in names]
    events = {"uri": "kafka://h/t", "format": "json", "event_id": "id", "event_time": "at"}
    document = {"job": "j", "events": events | {"max_out_of_orderness": "0s", "time_unit": "us", "time_range": [
        "2013-01-01T00:00:00Z", "2014-01-01T00:00:00Z"]}, "features": ["k", *features],
        "model": {"name": "m", "store": "s"}, "sinks": {}}  # fmt: skip
    assert said in beginning_of(parse_job(document, {"k": "string"}))
    assert bool(said) == bool(beginning_of(parse_job(document, {"k": "string"})))
