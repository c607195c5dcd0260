"""MeasureDrift on runners: windows close on time, late rows amend them, and those too late are counted separately."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_stream import TestStream as Story  # pytest would collect a class named Test…
from apache_beam.testing.util import assert_that
from apache_beam.utils.timestamp import Timestamp

from models.profiles import Profile, build_profile
from models.store.backends import StoreUnavailable
from schemas.job import DriftSpec
from schemas.records import arrow_schema
from tests.transforms.beam.streams import replaying_runner
from transforms.drift import measure_drift
from transforms.drift.count_too_late import CountTooLate
from transforms.drift.drift_groups import GroupCounts, count_windows, split_by_version
from transforms.drift.drift_records import DriftOrigin, Pane, drift_records
from transforms.drift.drift_sums import Tally, dense
from transforms.drift.drift_tally import TallyFn
from transforms.drift.measure_drift import MeasureDrift
from transforms.flow import metrics
from transforms.flow.coders import ArrowBatchCoder

MINUTE = 60_000_000
HOUR = 60 * MINUTE
START = 1_356_998_400_000_000  # 2013-01-01T00:00:00Z
SPEC = DriftSpec(HOUR, 30 * MINUTE, ("origin",), psi_threshold=0.2, ks_threshold=0.1)
RNG = np.random.default_rng(0)
REFERENCE = pa.record_batch({"score": RNG.random(1_000), "delay": RNG.normal(size=1_000)})
PROFILE = build_profile(REFERENCE, ["score", "delay"])


class Published(NamedTuple):
    """A loader of profiles held in memory, by digest."""

    profiles: dict[str, Profile]

    def load(self, version: str, digest: str) -> Profile | None:
        return self.profiles.get(digest)


LOADER = Published({"d1": PROFILE, "d2": build_profile(REFERENCE, ["score"])})


def scored(*minutes: float, version: int = 1, origin: str | None = "JFK", role: str = "champion") -> pa.RecordBatch:
    """One row per minute after the start."""
    rows = len(minutes)
    times = [START + int(minute * MINUTE) for minute in minutes]
    return pa.record_batch(
        {
            "__event_time": pa.array(times, pa.timestamp("us", "UTC")),
            "__version": [f"v{version}"] * rows,
            "__role": [role] * rows,
            "__digest": [f"d{version}"] * rows,
            "score": np.linspace(0, 1, rows),
            "delay": np.zeros(rows),
            "origin": pa.array([origin] * rows, pa.string()),
        }
    )


def at(minutes: float) -> Timestamp:
    return Timestamp(micros=START + int(minutes * MINUTE))


class Seen(NamedTuple):
    """What a test looks at: minutes of the window's start, pane, version, segment, rows."""

    window: int
    pane: int
    version: str
    segment: str | None
    n: int


def seen_scores(batch: pa.RecordBatch) -> Iterator[Seen]:
    assert batch.schema == arrow_schema("DriftStatistic")
    for row in batch.to_pylist():
        if row["column"] == "score" and row["statistic"] == "psi":
            start_us = int(row["window_start"].timestamp()) * 1_000_000
            assert int(row["window_end"].timestamp()) * 1_000_000 == start_us + HOUR
            window = (start_us - START) // MINUTE
            yield Seen(window, row["pane"], row["version"], row["segment"], row["n"])


def are(expected: Iterable[Any]) -> Callable[[Iterable[Any]], None]:
    wanted = sorted(expected, key=repr)

    def check(found: Iterable[Any]) -> None:
        assert sorted(found, key=repr) == wanted

    return check


def streaming() -> beam.Pipeline:
    options = PipelineOptions([])
    options.view_as(StandardOptions).streaming = True
    return beam.Pipeline(runner=replaying_runner(), options=options)


def told(story: Story, expected: Iterable[Seen]) -> None:
    """Runs a story and compares how many rows each pane has in all (segment None)."""
    with streaming() as pipeline:
        statistics = pipeline | story | MeasureDrift(SPEC, LOADER, "m")
        seen = statistics | "See" >> beam.FlatMap(seen_scores)
        whole = seen | "Whole" >> beam.Filter(lambda row: row.segment is None)
        assert_that(whole, are(expected))


def story() -> Story:
    begun: Story = Story(coder=ArrowBatchCoder()).advance_watermark_to(at(0))
    return begun


def test_all_rows_before_the_close_are_in_the_one_pane_that_comes_on_time() -> None:
    tale = story().add_elements([scored(10, 20)]).advance_watermark_to(at(59)).add_elements([scored(30), scored(70)])
    tale = tale.advance_watermark_to(at(61)).add_elements([scored(80)]).advance_watermark_to_infinity()
    told(tale, [Seen(0, 0, "v1", None, 3), Seen(60, 0, "v1", None, 2)])


def test_late_rows_within_the_lateness_amend_with_a_later_pane() -> None:
    tale = story().add_elements([scored(10, 20)]).advance_watermark_to(at(61)).add_elements([scored(50)])
    tale = tale.advance_watermark_to(at(80)).add_elements([scored(55, 56)]).advance_watermark_to_infinity()
    told(tale, [Seen(0, pane, "v1", None, rows) for pane, rows in enumerate((2, 3, 5))])


def test_rows_beyond_the_lateness_are_in_no_statistic() -> None:
    tale = story().add_elements([scored(10, 20)]).advance_watermark_to(at(95)).add_elements([scored(50)])
    told(tale.advance_watermark_to_infinity(), [Seen(0, 0, "v1", None, 2)])


def test_batch_over_several_windows_is_split_by_event_time() -> None:
    tale = story().add_elements([scored(10, 70, 20, 130)]).advance_watermark_to_infinity()
    told(tale, [Seen(0, 0, "v1", None, 2), Seen(60, 0, "v1", None, 1), Seen(120, 0, "v1", None, 1)])


def test_only_the_late_part_of_a_batch_amends() -> None:
    tale = story().add_elements([scored(10)]).advance_watermark_to(at(62)).add_elements([scored(50, 63)])
    expected = [Seen(0, 0, "v1", None, 1), Seen(0, 1, "v1", None, 2), Seen(60, 0, "v1", None, 1)]
    told(tale.advance_watermark_to_infinity(), expected)


def test_row_on_the_edge_belongs_to_the_window_that_starts_there() -> None:
    tale = story().add_elements([scored(59.999, 60)]).advance_watermark_to_infinity()
    told(tale, [Seen(0, 0, "v1", None, 1), Seen(60, 0, "v1", None, 1)])


def test_rows_too_late_are_counted_with_their_window() -> None:
    ends = [START + HOUR, START + 2 * HOUR]
    tale = Story().advance_watermark_to(at(0)).add_elements([(ends[0], 5), (ends[1], 7)])
    tale = tale.advance_watermark_to(at(80)).add_elements([(ends[0], 2)])
    tale = tale.advance_watermark_to(at(95)).add_elements([(ends[0], 3), (ends[1], 4)])
    with streaming() as pipeline:
        pieces = pipeline | tale.advance_watermark_to_infinity().with_output_types(tuple[int, int])
        assert_that(pieces | CountTooLate(SPEC.allowed_lateness_us), are([(ends[0], 3)]))


def measured(batches: list[pa.RecordBatch], check: Callable[[Iterable[Any]], None]) -> dict[str, int]:
    """The counters of a bounded run over the batches; `check` asserts what its statistics are."""
    pipeline = beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([]))
    scores = pipeline | beam.Create(batches, reshuffle=False).with_output_types(pa.RecordBatch)
    assert_that(scores | MeasureDrift(SPEC, LOADER, "m") | beam.FlatMap(seen_scores), check)
    result = pipeline.run()
    result.wait_until_finish()
    found = result.metrics().query(MetricsFilter().with_namespace("halflife"))["counters"]
    return {metric.key.metric.name: metric.result for metric in found}


SHUFFLED = [
    scored(70, 10, 20),
    scored(15, 75, origin="LGA"),
    scored(5, version=2, role="shadow"),
    scored(1, 2, version=3),
    scored(30, origin=None),
]
EXPECTED = [
    Seen(0, 0, "v1", None, 4),
    Seen(0, 0, "v1", "origin=JFK", 2),
    Seen(0, 0, "v1", "origin=LGA", 1),
    Seen(0, 0, "v1", "origin is null", 1),
    Seen(60, 0, "v1", None, 2),
    Seen(60, 0, "v1", "origin=JFK", 1),
    Seen(60, 0, "v1", "origin=LGA", 1),
    Seen(0, 0, "v2", None, 1),
    Seen(0, 0, "v2", "origin=JFK", 1),
]


def test_bounded_run_measures_each_version_and_segment() -> None:
    counters = measured(SHUFFLED, are(EXPECTED))
    assert counters == {
        "drift_rows_observed": 7,
        "drift_rows_without_profile": 2,
        "drift_panes_measured": 3,
        # v1: (PSI and KS) × (score, delay) × (4 + 3 groups); v2: PSI and KS of the score × 2 groups
        "drift_statistics_emitted": 4 * 7 + 2 * 2,
    }


@pytest.mark.parametrize("size", [1, 2, 3])
def test_order_and_size_of_batches_do_not_matter(size: int) -> None:
    pieces = [batch.slice(start, size) for batch in SHUFFLED for start in range(0, batch.num_rows, size)]
    measured(pieces[::-1], are(EXPECTED))


def test_full_bundle_is_emitted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_drift, "_ROWS_TOGETHER", 2)
    monkeypatch.setattr(measure_drift, "_HELD_COUNTS", 0)
    measured(SHUFFLED, are(EXPECTED))


def expected_records() -> list[dict[str, Any]]:
    """The records of `SHUFFLED`, from the pure functions alone."""
    records = []
    for version, digest, rows in split_by_version(pa.concat_batches(SHUFFLED)):
        profile = LOADER.load(version, digest)
        if profile is None:
            continue
        for piece in count_windows(profile, rows, SPEC.segments, HOUR):
            origin = DriftOrigin(piece.window_start_us, piece.window_start_us + HOUR, 0, "m", version)
            tally = Tally()
            tally.add(piece.counts)
            records += drift_records(profile, [Pane(tally.sums(), origin)], SPEC).to_pylist()
    return records


def test_perfect_watermark_and_bounded_run_give_the_same_records() -> None:
    tale = story().add_elements(SHUFFLED[:2]).add_elements(SHUFFLED[2:]).advance_watermark_to_infinity()
    with streaming() as pipeline:
        statistics = pipeline | tale | MeasureDrift(SPEC, LOADER, "m")
        assert_that(statistics | beam.FlatMap(pa.RecordBatch.to_pylist), are(expected_records()))
    with beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([])) as pipeline:
        scores = pipeline | beam.Create(SHUFFLED).with_output_types(pa.RecordBatch)
        statistics = scores | MeasureDrift(SPEC, LOADER, "m")
        assert_that(statistics | beam.FlatMap(pa.RecordBatch.to_pylist), are(expected_records()))


def test_columns_that_a_batch_lacks_are_counted_and_the_others_measured() -> None:
    expected = [Seen(0, 0, "v1", None, 3), Seen(0, 0, "v1", "origin=JFK", 3)]
    counters = measured([scored(1, 2).drop_columns(["delay"]), scored(3)], are(expected))
    assert counters["drift_columns_absent"] == 1


def test_empty_batches_measure_nothing() -> None:
    assert measured([scored()], are([])) == {}


def test_windows_must_be_whole_milliseconds() -> None:
    for window_us in (0, -HOUR, 1_500):
        spec = DriftSpec(window_us, 0, (), 0.2, 0.1)
        with pytest.raises(ValueError, match=f"drift window of {window_us} us; allowed: whole milliseconds above 0"):
            MeasureDrift(spec, LOADER, "m")


def counted(batch: pa.RecordBatch) -> GroupCounts:
    (piece,) = count_windows(PROFILE, batch, ("origin",), HOUR)
    return piece.counts


def test_tally_fn_gives_the_same_sums_in_any_grouping_and_through_its_coder() -> None:
    parts = [counted(scored(1)), counted(scored(2, 3, origin="LGA")), counted(scored(4, role="shadow"))]
    fn = TallyFn()  # type: ignore[no-untyped-call]  # CombineFn has no types
    coder = fn.get_accumulator_coder()

    def accumulated(chosen: list[GroupCounts]) -> Tally:
        accumulator = fn.create_accumulator()
        for part in chosen:
            accumulator = fn.add_input(accumulator, part)
        return coder.decode(coder.encode(accumulator))  # type: ignore[no-any-return]  # Beam's coders have no types

    whole = fn.extract_output(accumulated(parts))
    merged = fn.extract_output(fn.merge_accumulators([accumulated(parts[1:]), accumulated([]), accumulated(parts[:1])]))
    assert whole.groups == merged.groups
    assert np.array_equal(dense([whole]), dense([merged]))


class Failing(NamedTuple):
    """A loader whose store does not answer, or whose bundle holds garbage."""

    error: type[BaseException]

    def load(self, version: str, digest: str) -> Profile | None:
        raise self.error("no answer")


@pytest.mark.parametrize(
    ("error", "counted"),
    [
        (StoreUnavailable, metrics.DRIFT_ROWS_PROFILE_UNAVAILABLE),
        (OSError, metrics.DRIFT_ROWS_PROFILE_UNAVAILABLE),
        (UnicodeError, metrics.DRIFT_ROWS_WITHOUT_PROFILE),
        (MemoryError, metrics.DRIFT_ROWS_WITHOUT_PROFILE),
    ],
)
def test_profile_that_cannot_be_fetched_stops_nothing(error: type[BaseException], counted: str) -> None:
    pipeline = beam.Pipeline(FnApiRunner())
    rows = pipeline | beam.Create([scored(1, 2, 3)])
    assert_that(rows | MeasureDrift(SPEC, Failing(error), "m") | beam.FlatMap(seen_scores), are([]))
    result = pipeline.run()
    result.wait_until_finish()
    [found] = result.metrics().query(MetricsFilter().with_name(counted))["counters"]
    assert found.committed == 3
