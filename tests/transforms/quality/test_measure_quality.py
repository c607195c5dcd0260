"""MeasureQuality on runners: a stream emits panes as labels come, and the last one is that of bounded input."""

import json
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_stream import TestStream as Story  # pytest would collect a class named Test…
from apache_beam.testing.util import assert_that
from apache_beam.utils.timestamp import Timestamp

from models.bundles.manifest import Manifest, parse_manifest
from models.store.backends import StoreUnavailable
from schemas import batches
from schemas.columns import FairnessSpec
from schemas.job import DriftSpec, EventsSpec, LabelsSpec
from tests.models.bundle_folders import document
from tests.transforms.beam.streams import replaying_runner
from transforms.flow import metrics
from transforms.quality.measure_quality import MeasurePairs, MeasureQuality, QualitySpec

SECOND = 1_000_000
SPEC = DriftSpec(100 * SECOND, 20 * SECOND, ("origin",), psi_threshold=0.2, ks_threshold=0.1)
EVENTS = EventsSpec("", "json", "of", "known", None, 0, (("late_by", "number"),), (0, 2**60), "us")
LABELS = LabelsSpec(EVENTS, positive="> 15", horizon_us=80 * SECOND)
OUTPUT = {"kind": "probability", "threshold": 0.5, "positive": "late"}


class Stored(NamedTuple):
    """A loader of manifests in memory; of the digest `lost` the store is silent."""

    def load(self, version: str, digest: str) -> Manifest:
        if digest == "lost":
            raise StoreUnavailable("the store is silent")
        return parse_manifest(json.dumps({"files": {}, **document(version=version, output=OUTPUT)}).encode())


def scored(
    *events: tuple[str, float, float], role: str = "champion", digest: str = "known", version: str = "v1"
) -> pa.RecordBatch:
    """Events as (id, seconds, score)."""
    rows = len(events)
    return pa.record_batch(
        {
            batches.EVENT_ID: [each[0] for each in events],
            batches.EVENT_TIME: pa.array([int(each[1] * SECOND) for each in events]).cast(batches.TIME_TYPE),
            "__version": [version] * rows,
            "__role": [role] * rows,
            "__digest": [digest] * rows,
            "score": [each[2] for each in events],
            "origin": pa.array(["JFK"] * rows, pa.string()),
        }
    )


def labels(*known: tuple[str, float, bool]) -> pa.RecordBatch:
    times = pa.array([int(each[1] * SECOND) for each in known]).cast(batches.TIME_TYPE)
    return pa.record_batch({"event_id": [each[0] for each in known], "label": [each[2] for each in known],
                            "label_time": times})  # fmt: skip


def at(seconds: float) -> Timestamp:
    return Timestamp(micros=int(seconds * SECOND))


ANSWERS = scored(("a", 1, 0.9), ("b", 2, 0.2), ("c", 3, 0.4), ("d", 120, 0.7))
SHADOWED = scored(("d", 120, 0.8), ("b", 2, 0.6), ("a", 1, 0.7), role="shadow", version="v2", digest="other")
KNOWN = (labels(("a", 30, True), ("b", 40, False)), labels(("c", 82, True), ("d", 300, True)))


class Seen(NamedTuple):
    start: int
    pane: int
    n: int
    events: int
    accuracy: float | None


def rows_of(found: Iterable[pa.RecordBatch]) -> list[Seen]:
    rows = [row for batch in found for row in batch.to_pylist()]
    chosen = [row for row in rows if row["metric"] == "accuracy" and row["segment"] == "" and row["version"] == "v1"]
    return sorted(
        Seen(int(row["window_start"].timestamp()), row["pane"], row["n"], row["events"], row["value"]) for row in chosen
    )


class SeenPair(NamedTuple):
    start: int
    n: int
    events: int
    value: Any


def last_pairs(found: Iterable[pa.RecordBatch]) -> list[SeenPair]:
    """The differences of losses of the last pane of each window."""
    rows = sorted((row for batch in found for row in batch.to_pylist()), key=lambda row: row["pane"])
    chosen = [row for row in rows if row["metric"] == "loss_difference" and row["segment"] == ""]
    assert {(row["version"], row["role"], row["against"]) for row in chosen} == {("v2", "shadow", "v1")}
    last = {int(row["window_start"].timestamp()): row for row in chosen}
    return [SeenPair(start, row["n"], row["events"], row["value"]) for start, row in sorted(last.items())]


def measure(pipeline: Any, answers: Any, known: Any, shards: int = 1) -> Any:
    measuring = MeasureQuality(QualitySpec(SPEC, LABELS, shards), Stored(), "m", "r")
    return (answers, known) | "MeasureQuality" >> measuring


def letters_of(found: Iterable[pa.RecordBatch]) -> list[tuple[Any, ...]]:
    return [(row["stage"], row["error"], row["event_id"]) for batch in found for row in batch.to_pylist()]


LAST = [Seen(0, 0, 3, 3, 2 / 3), Seen(100, 0, 0, 1, None)]
LAST_PAIRS = [SeenPair(0, 2, 2, pytest.approx((math.log(0.9 / 0.7) + math.log(0.8 / 0.4)) / 2)),
              SeenPair(100, 0, 1, None)]  # fmt: skip


@pytest.mark.parametrize("shards", [1, 3])
def test_bounded_input_has_one_pane_of_all_labels_within_the_horizon(shards: int) -> None:
    def check(found: Iterable[pa.RecordBatch]) -> None:
        assert rows_of(found) == LAST
        assert last_pairs(found) == LAST_PAIRS

    def check_letters(found: Iterable[pa.RecordBatch]) -> None:
        assert letters_of(found) == [("labels", "BeyondHorizon", "d")]

    with beam.Pipeline() as pipeline:
        answers = pipeline | "A" >> beam.Create([ANSWERS, SHADOWED])
        found = measure(pipeline, answers, pipeline | "L" >> beam.Create(list(KNOWN)), shards)
        assert_that(found.quality, check, label="Quality")
        assert_that(found.dead_letters, check_letters, label="Letters")


@pytest.mark.parametrize("shards", [1, 3])
def test_a_stream_emits_a_pane_when_labels_have_come_and_its_last_one_is_that_of_bounded_input(shards: int) -> None:
    """Panes of the first window are due at 120, 130, 140, 160 and 200 s, of the second 100 s later. The last label
    comes when the answers of the first are no longer held."""
    story = Story().add_elements([KNOWN[0], ANSWERS, SHADOWED]).advance_watermark_to(at(125)).add_elements([KNOWN[1]])
    for seconds in (135, 150, 190, 250):
        story = story.advance_watermark_to(at(seconds))
    story = story.add_elements([labels(("a", 90, True))])
    for seconds in (275, 310, 400):
        story = story.advance_watermark_to(at(seconds))
    played(story, _panes_follow_labels, shards, ["a", "d"])


def _panes_follow_labels(result: list[Seen]) -> None:
    first = [each for each in result if each.start == 0]
    assert [each.n for each in first] == [2, 3, 3, 3, 3]
    assert [each.pane for each in first] == [0, 1, 2, 3, 4]
    assert result[-1].pane == 4
    assert [each._replace(pane=0) for each in (first[-1], result[-1])] == LAST


def last_of_teams(found: Iterable[pa.RecordBatch]) -> dict[tuple[int, str], tuple[float | None, str | None]]:
    rows = sorted((row for batch in found for row in batch.to_pylist()), key=lambda row: row["pane"])
    return {(int(row["window_start"].timestamp()), row["metric"]): (row["value"], row["why"]) for row in rows
            if row["segment"] == "team" and row["metric"].endswith("difference")}  # fmt: skip


ALONE = (None, "only one group")
OF_TEAMS = {
    **{(0, f"{name}_difference"): (1.0, None) for name in ("demographic_parity", "equal_opportunity")},
    (0, "equalized_odds_difference"): (None, "no event among the labels that is not positive"),
    **{(100, f"{name}_difference"): ALONE for name in ("demographic_parity", "equal_opportunity", "equalized_odds")},
}


@pytest.mark.parametrize("as_stream", [False, True])
def test_fairness_of_a_stream_on_a_portable_runner_is_that_of_bounded_input(as_stream: bool) -> None:
    def check(found: Iterable[pa.RecordBatch]) -> None:
        assert last_of_teams(found) == OF_TEAMS

    spec = QualitySpec(SPEC, LABELS, 3, FairnessSpec((("team",),), (), max_groups=100, min_n=1))
    teams = ANSWERS.append_column("team", pa.array(["x", None, "y", "x"]))
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        inputs = (pipeline | "A" >> beam.Create([teams]), pipeline | "L" >> beam.Create(list(KNOWN)))
        measuring = (AsStream if as_stream else MeasureQuality)(spec, Stored(), "m", "r")
        measured = inputs | "MeasureQuality" >> measuring
        assert_that(measured.quality, check, label="Quality")


def test_a_stream_without_labels_compares_who_is_selected() -> None:
    def check(found: Iterable[pa.RecordBatch]) -> None:
        of_first = {metric: value for (start, metric), value in last_of_teams(found).items() if start == 0}
        assert of_first["demographic_parity_difference"] == (1.0, None)
        assert of_first["equal_opportunity_difference"] == (None, "no positive event among the labels")

    never = EventsSpec("", "json", "of", "known", None, 0, (("label", "boolean"),), (0, 2**60), "us")
    spec = QualitySpec(SPEC, LabelsSpec(never, None, 0), 3, FairnessSpec((("team",),), (), max_groups=100, min_n=1))
    events = ANSWERS.append_column("team", pa.array(["x", None, "y", "x"]))
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        inputs = pipeline | "A" >> beam.Create([events]), pipeline | "L" >> beam.Create([])
        measured = inputs | "MeasureQuality" >> AsStream(spec, Stored(), "m", "r")
        assert_that(measured.quality, check, label="Quality")


@pytest.mark.parametrize("shards", [1, 3])
def test_state_and_timers_of_a_portable_runner_give_the_same_last_panes(shards: int) -> None:
    """As on Flink: state is encoded, timers come by name, and the watermark goes from the beginning to the end at
    once."""

    def check(found: Iterable[pa.RecordBatch]) -> None:
        last = {each.start: each for each in rows_of(found)}
        assert [each._replace(pane=0) for each in last.values()] == LAST
        assert {each.pane for each in last.values()} == {4}
        assert last_pairs(found) == LAST_PAIRS

    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        answers = pipeline | "A" >> beam.Create([ANSWERS, SHADOWED])
        known = pipeline | "L" >> beam.Create(list(KNOWN))
        measuring = AsStream(QualitySpec(SPEC, LABELS, shards), Stored(), "m", "r")
        found = (answers, known) | "MeasureQuality" >> measuring
        assert_that(found.quality, check, label="Quality")


class AsStream(MeasureQuality):
    """Input that ends, treated as if it did not."""

    def _of_whole(self, inputs: dict[str, Any]) -> Any:
        return self._of_stream(tuple(inputs.values()))


@pytest.mark.parametrize("as_stream", [False, True])
def test_without_labels_a_portable_runner_emits_one_pane_of_each_pair(as_stream: bool) -> None:
    def check(found: Iterable[pa.RecordBatch]) -> None:
        rows = [row for batch in found for row in batch.to_pylist()]
        assert {(row["pane"], row["version"], row["against"]) for row in rows} == {(0, "v2", "v1")}
        assert last_pairs(found) == [SeenPair(0, 0, 2, None), SeenPair(100, 0, 1, None)]

    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        answers = pipeline | "A" >> beam.Create([ANSWERS, SHADOWED])
        measuring = (PairsAsStream if as_stream else MeasurePairs)(QualitySpec(SPEC, LABELS, 3), Stored(), "m", "r")
        assert_that((answers | "MeasureQuality" >> measuring).quality, check, label="Quality")


class PairsAsStream(MeasurePairs):
    """Input that ends, treated as if it did not."""

    def _of_whole(self, inputs: dict[str, Any]) -> Any:
        return self._of_stream(tuple(inputs.values()))


def played(story: Story, check: Callable[[list[Seen]], None], shards: int = 1, late: list[str] | None = None) -> None:
    """`late`: the events whose labels came beyond the horizon, where that is checked."""

    def check_letters(found: Iterable[pa.RecordBatch]) -> None:
        assert late is None or sorted(letters_of(found)) == [("labels", "BeyondHorizon", event) for event in late]

    with beam.Pipeline(runner=replaying_runner(), options=PipelineOptions(["--streaming"])) as pipeline:
        given = pipeline | story.advance_watermark_to_infinity()
        answers, known = (
            given | label >> beam.Filter(_has, column).with_output_types(pa.RecordBatch)
            for label, column in (("Answers", batches.EVENT_ID), ("Labels", "label"))
        )
        found = measure(pipeline, answers, known, shards)
        assert_that(found.quality, lambda rows: check(rows_of(rows)), label="Quality")
        assert_that(found.dead_letters, check_letters, label="Letters")


def _has(batch: pa.RecordBatch, column: str) -> bool:
    return column in batch.schema.names


def test_answers_after_their_first_pane_and_of_unreadable_manifests_are_counted() -> None:
    """They stop nothing: the rest is measured."""
    late, unread = scored(("z", 5, 0.5)), scored(("y", 6, 0.5), digest="lost")
    with beam.Pipeline() as pipeline:
        answers = pipeline | "A" >> beam.Create([ANSWERS, unread])
        found = measure(pipeline, answers, pipeline | "L" >> beam.Create(list(KNOWN)))
        assert_that(found.quality, lambda rows: _same(rows_of(rows), LAST), label="Quality")
    assert metrics.counts_of(pipeline.result)[metrics.QUALITY_ROWS_UNAVAILABLE] == 1
    story = Story().add_elements([ANSWERS]).advance_watermark_to(at(125)).add_elements([late])
    played(story, lambda found: _same({each.events for each in found if each.start == 0}, {3}))


def _same(found: Any, wanted: Any) -> None:
    assert found == wanted
