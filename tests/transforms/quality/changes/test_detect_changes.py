"""Changes of errors on runners: the last panes of a stream say what is said of bounded input, in any order."""

import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_stream import TestStream as Story  # pytest would collect a class named Test…
from apache_beam.testing.util import assert_that

from schemas import batches
from schemas.job import ConceptDriftSpec
from tests.transforms.beam.streams import replaying_runner
from tests.transforms.quality.test_measure_quality import LABELS, SPEC, AsStream, Stored, at, labels, scored
from transforms.flow import metrics
from transforms.labels.label_join import labels_table
from transforms.quality.answers import ErrorsBy, answers_of, scored_by, stamped_with
from transforms.quality.changes.change_records import change_records, readings, windows_of
from transforms.quality.joining import by_version, labelled_answers
from transforms.quality.measure_quality import MeasureQuality, QualitySpec
from transforms.quality.measuring.quality_records import QualityOrigin
from transforms.quality.sums.error_sums import sums_of_errors

CHANGES = ConceptDriftSpec(parts=24, block=15)
WINDOWS, IN_WINDOW, WORSE_FROM = 6, 600, 3


def given(seed: int) -> tuple[list[Any], list[Any]]:
    """Answers of six windows, wrong in 1 of 10 and from the fourth on in 5 of 10, and their labels, a third of
    which come when the first panes of their windows are out; in a random order, in batches of a window."""
    rng, truth, answered, known = random.Random(7), random.Random(3), [], []
    for window in range(WINDOWS):
        rows = [(f"e{window}_{number}", 100 * window + rng.random() * 99.9) for number in range(IN_WINDOW)]
        wrong = [truth.random() < (0.1 if window < WORSE_FROM else 0.5) for _ in rows]
        late = [25.0 if truth.random() < 0.67 else 65.0 for _ in rows]
        answered.append((window, scored(*((name, time, 0.9) for name, time in rows))))
        of_rows = zip(rows, wrong, late, strict=True)
        known.append((window, labels(*((name, time + after, not error) for (name, time), error, after in of_rows))))
    order = random.Random(seed)
    return order.sample(answered, len(answered)), order.sample(known, len(known))


def spec(shards: int) -> QualitySpec:
    return QualitySpec(replace(SPEC, segments=()), replace(LABELS, concept_drift=CHANGES), shards)


def last_of(found: Iterable[pa.RecordBatch]) -> list[tuple[Any, ...]]:
    """The last pane of each window and detector."""
    rows = [row for batch in found for row in batch.to_pylist() if row["metric"].startswith("change_")]
    last = {(row["metric"], row["window_start"]): row for row in sorted(rows, key=lambda row: row["pane"])}
    fields = ("metric", "window_start", "version", "role", "segment", "n", "events", "value", "before", "began",
              "n_since", "why")  # fmt: skip
    return sorted(tuple(str(row[name]) for name in fields) for row in last.values())


def run(runner: Any, kind: Any, seed: int, shards: int, check: Any) -> Any:
    answered, known = given(seed)
    with beam.Pipeline(runner=runner) as pipeline:
        answers = pipeline | "A" >> beam.Create([each for _, each in answered])
        truths = pipeline | "L" >> beam.Create([each for _, each in known])
        found = (answers, truths) | "MeasureQuality" >> kind(spec(shards), Stored(), "m", "r")
        assert_that(found.quality, check, label="Quality")
    return pipeline.result


@pytest.fixture(scope="module")
def whole() -> list[tuple[Any, ...]]:
    """What is said of all answers and labels together, without a runner."""
    answered, known = given(1)
    by = scored_by(Stored().load("v1", "known"), "champion")
    rows = [stamped_with(answers_of(batch, by, ()), by) for _, batch in answered]
    joined = labelled_answers(
        by_version(rows), labels_table([batch for _, batch in known], pa.bool_()), LABELS.horizon_us
    )
    errors = [sums_of_errors(beside, own, SPEC.window_us) for own, beside in joined.beside.items()]
    said = readings(windows_of(errors[0]), CHANGES, SPEC.window_us, shares=True)
    return last_of([change_records(said, ErrorsBy(by), QualityOrigin(SPEC.window_us, 0, "m", "r"))])


def test_records_of_each_window_and_detector_say_when_the_errors_changed(whole: list[tuple[Any, ...]]) -> None:
    assert len(whole) == 2 * WINDOWS
    changed = [each for each in whole if each[9] != "None"]
    assert {each[0] for each in changed} == {"change_adwin", "change_page_hinkley"}
    assert all("1970-01-01 00:04:50" <= each[9] < "1970-01-01 00:05:10" for each in changed), changed
    assert {each[-1] for each in whole if each[9] == "None"} >= {"no change was seen"}


@pytest.mark.parametrize(("seed", "shards"), [(2, 1), (3, 4)])
def test_bounded_input_in_any_order_and_shards_says_the_same(
    whole: list[tuple[Any, ...]], seed: int, shards: int
) -> None:
    def check(found: Iterable[pa.RecordBatch]) -> None:
        assert last_of(found) == whole

    result = run(FnApiRunner(), MeasureQuality, seed, shards, check)
    seen = metrics.by_rest(metrics.CHANGES_SEEN_PREFIX, metrics.counts_of(result))
    assert seen == {"adwin": 1, "page_hinkley": 1}


def test_last_panes_of_a_stream_equal_bounded_input_where_all_is_due_at_once(whole: list[tuple[Any, ...]]) -> None:
    """As on Flink: state is encoded, and the watermark goes from the beginning to the end at once."""

    def check(found: Iterable[pa.RecordBatch]) -> None:
        assert last_of(found) == whole

    result = run(FnApiRunner(), AsStream, 4, 3, check)
    assert sum(metrics.by_rest(metrics.CHANGES_SEEN_PREFIX, metrics.counts_of(result)).values()) >= 2


def test_last_panes_of_a_stream_equal_bounded_input_as_labels_come(whole: list[tuple[Any, ...]]) -> None:
    """The first panes are of the labels that came in time, and are corrected by the later ones."""
    answered, known = given(5)
    story = Story()
    for window in range(WINDOWS):
        story = story.add_elements([batch for own, batch in answered if own == window])
        story = story.add_elements([batch for own, batch in known if own == window - 1])
        story = story.advance_watermark_to(at(100 * window + 99))
    story = story.add_elements([batch for own, batch in known if own == WINDOWS - 1])
    for seconds in range(100 * WINDOWS + 20, 100 * WINDOWS + 220, 10):
        story = story.advance_watermark_to(at(seconds))

    def check(found: list[pa.RecordBatch]) -> None:
        assert last_of(found) == whole
        panes = {row["pane"] for batch in found for row in batch.to_pylist() if row["metric"] == "change_adwin"}
        assert panes == {0, 1, 2, 3, 4}

    with beam.Pipeline(runner=replaying_runner(), options=PipelineOptions(["--streaming"])) as pipeline:
        whole_input = pipeline | story.advance_watermark_to_infinity()
        answers, truths = (
            whole_input | label >> beam.Filter(_has, column).with_output_types(pa.RecordBatch)
            for label, column in (("Answers", batches.EVENT_ID), ("Labels", "label"))
        )
        found = (answers, truths) | "MeasureQuality" >> MeasureQuality(spec(2), Stored(), "m", "r")
        assert_that(found.quality, check, label="Quality")


def _has(batch: pa.RecordBatch, column: str) -> bool:
    return column in batch.schema.names
