"""ScoreEvents with a timeline, on runners: roles, labels that tell the truth, dead letters, waiting for a release."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.test_stream import TestStream as Story  # pytest would collect a class named Test…
from apache_beam.testing.util import assert_that
from apache_beam.utils.timestamp import Timestamp

from models.releases.release import AdmittedRelease, Challenger
from models.serving.cache import shared_cache
from models.store.store import ModelStore
from runners.direct import bounded_runner
from schemas.job import DriftSpec, EventsSpec, FeaturesSpec, Job, SinksSpec
from tests.models.loading.gated import (
    MODEL,
    SECOND,
    GatedScorer,
    Readings,
    events,
    new_store,
    publish,
    released,
    spec_of,
)
from tests.transforms.beam.streams import replaying_runner
from transforms.releases.guard_watcher import GuardWatcher
from transforms.scoring.receipts import Stamp
from transforms.scoring.score_events import SCORES, ScoredEvents, ScoreEvents, StoreSilent, _ScoreFn, source_of

pytestmark = pytest.mark.usefixtures("gated")


def job_on(store: ModelStore) -> Job:
    columns, limits = (("delay", "number"),), (0, 2**62)
    spec = EventsSpec("x.avro", "avro", "id", "at", None, 30 * SECOND, columns, limits, "us")
    features, drift = FeaturesSpec(("delay",), (), 0, 1, 1000), DriftSpec(SECOND, 0, (), 0.2, 0.1)
    return Job("test", spec, features, spec_of(store), drift, SinksSpec(None, (), None, None))


def digests_of(store: ModelStore, folder: Path, *versions: str) -> dict[str, str]:
    return {version: publish(store, folder, version) for version in versions}


def rows(batches: Iterable[pa.RecordBatch], *columns: str) -> list[tuple[Any, ...]]:
    return sorted(tuple(row[name] for name in columns) for batch in batches for row in batch.to_pylist())


def are(columns: str, expected: list[tuple[Any, ...]]) -> Callable[[Iterable[pa.RecordBatch]], None]:
    def check(batches: Iterable[pa.RecordBatch]) -> None:
        assert rows(batches, *columns.split()) == sorted(expected)

    return check


def score(pipeline: beam.Pipeline, store: ModelStore, timeline: list[AdmittedRelease], *batches: pa.RecordBatch) -> Any:
    """The outputs of a bounded run over the batches."""
    admitted = pipeline | "Releases" >> beam.Create(timeline, reshuffle=False)
    made = pipeline | "Events" >> beam.Create(batches, reshuffle=False).with_output_types(pa.RecordBatch)
    outputs: ScoredEvents = made | ScoreEvents(job_on(store), beam.pvalue.AsIter(admitted))
    return outputs


def test_each_event_is_answered_by_the_release_at_its_time_whatever_the_order(tmp_path: Path) -> None:
    store = new_store()
    digests = digests_of(store, tmp_path, "v1", "v2")
    timeline = [released(digests, 2, 10, "v2"), released(digests, 1, 0, "v1"), released(digests, 3, 20, "v1")]
    with beam.Pipeline(runner=bounded_runner()) as pipeline:
        outputs = score(pipeline, store, timeline, events(25, 5), events(15, -5), events(10))
        expected = [("e-5", "v1", 1), ("e5", "v1", 1), ("e10", "v2", 2), ("e15", "v2", 2), ("e25", "v1", 3)]
        assert_that(outputs.receipts, are("event_id version release", expected), label="Receipts")
        labels = [("v1", 1.0, digests["v1"])] * 3 + [("v2", 2.0, digests["v2"])] * 2
        assert_that(outputs.receipts, are("version score digest", labels), label="Labels")


def test_shadow_scores_exactly_the_same_features_and_its_scores_are_not_returned(tmp_path: Path) -> None:
    store = new_store()
    digests = digests_of(store, tmp_path, "v1", "v2", "v3")
    timeline = [released(digests, 1, 0, "v1", shadows=("v2", "v3"))]
    with beam.Pipeline(runner=bounded_runner()) as pipeline:
        outputs = score(pipeline, store, timeline, events(1, 2, delay=7.5))
        assert_that(outputs.scores, are("event_id version", [("e1", "v1"), ("e2", "v1")]), label="Scores")
        roles = [("v1", "champion"), ("v2", "shadow"), ("v3", "shadow")]
        assert_that(outputs.receipts, are("version role", roles * 2), label="Receipts")
    assert sorted(GatedScorer.seen) == [(version, [7.5, 7.5]) for version in ("v1", "v2", "v3")]


def test_share_of_zero_gets_nothing_and_of_one_everything(tmp_path: Path) -> None:
    store = new_store()
    digests = digests_of(store, tmp_path, "v1", "v2", "v3")
    shares = (Challenger("v2", 0.0), Challenger("v3", 1.0))
    timeline = [released(digests, 1, 0, "v1", challengers=shares)]
    with beam.Pipeline(runner=bounded_runner()) as pipeline:
        outputs = score(pipeline, store, timeline, events(*range(50)))
        assert_that(outputs.receipts, are("version role", [("v3", "challenger")] * 50))


def test_rows_answered_with_nan_are_dead_letters_and_the_others_scores(tmp_path: Path) -> None:
    store = new_store()
    timeline = [released(digests_of(store, tmp_path, "v1"), 1, 0, "v1")]
    mixed = pa.concat_batches([events(1), events(2, delay=-1.0), events(3)])
    with beam.Pipeline(runner=bounded_runner()) as pipeline:
        outputs = score(pipeline, store, timeline, mixed)
        assert_that(outputs.scores, are("event_id", [("e1",), ("e3",)]), label="Scores")
        assert_that(outputs.dead_letters, are("event_id stage error", [("e2", "score", "NotFinite")]), label="Letters")


def test_bounded_run_without_a_release_leaves_unserved_dead_letters(tmp_path: Path) -> None:
    with beam.Pipeline(runner=bounded_runner()) as pipeline:
        outputs = score(pipeline, new_store(), [], events(1, 2))
        letters = [("e1", "unserved", "NoRelease"), ("e2", "unserved", "NoRelease")]
        assert_that(outputs.dead_letters, are("event_id stage error", letters))


def test_stream_without_any_model_fails_its_bundle_until_the_store_answers(tmp_path: Path) -> None:
    store = ModelStore(str(tmp_path / "store"), MODEL)
    first = released(digests_of(store, tmp_path / "payload", "v1"), 1, 0, "v1")
    version = next((tmp_path / "store").rglob("versions")) / "v1"
    version.rename(tmp_path / "away")
    version.write_text("a file where a folder should be")
    job = job_on(store)
    scoring = _ScoreFn(spec_of(store), source_of(job, waits=False), Stamp(job.name, "run-1", job.features))
    scoring.setup()
    with pytest.raises(StoreSilent, match=r"2 events wait: version 'v1' .* unavailable: .*cannot read"):
        list(scoring.process(events(1, 2), [first]))
    version.unlink()
    (tmp_path / "away").rename(version)
    shared_cache().retain(())  # as a new process, or half a minute later
    outputs = list(scoring.process(events(1, 2), [first]))
    scores = [one.value for one in outputs if isinstance(one, beam.pvalue.TaggedOutput) and one.tag == SCORES]
    assert rows(scores, "event_id", "version") == [("e1", "v1"), ("e2", "v1")]


def test_stream_waits_for_its_first_release(tmp_path: Path) -> None:
    store = new_store()
    first = released(digests_of(store, tmp_path, "v1"), 1, 0, "v1")
    story: Any = Story(output_tags={"events", "releases"})
    story = story.add_elements([events(1, 2)], tag="events").advance_watermark_to(Timestamp(9), tag="events")
    story = story.add_elements([events(3)], tag="events").add_elements([first], tag="releases")
    story = story.advance_watermark_to_infinity(tag="releases").advance_watermark_to_infinity(tag="events")
    options = beam.options.pipeline_options.PipelineOptions(["--streaming"])
    with beam.Pipeline(runner=replaying_runner(), options=options) as pipeline:
        told = pipeline | story
        flowing = told["events"] | "Typed" >> beam.Map(lambda batch: batch).with_output_types(pa.RecordBatch)
        assert not flowing.is_bounded
        outputs = flowing | ScoreEvents(job_on(store), beam.pvalue.AsIter(told["releases"]))
        expected = [("e1", "v1"), ("e2", "v1"), ("e3", "v1")]
        assert_that(outputs.scores, are("event_id version", expected), label="Scores")
        assert_that(outputs.dead_letters, are("event_id", []), label="Letters")


@pytest.mark.parametrize(("silence_s", "told"), [(29, 0), (31, 1)])
def test_watcher_that_is_silent_for_three_polls_is_reported(silence_s: int, told: int) -> None:
    story: Any = Story().advance_watermark_to(Timestamp(0)).add_elements([events(1)])
    for _ in range(2):
        story = story.advance_processing_time(10).add_elements([events(1)])
    story = story.advance_processing_time(silence_s)
    Readings.ahead = [0, 10, 20, 20 + silence_s]
    options = beam.options.pipeline_options.PipelineOptions(["--streaming"])
    with beam.Pipeline(runner=replaying_runner(), options=options) as pipeline:
        beats = pipeline | story.advance_watermark_to_infinity()
        typed = beats | beam.Map(lambda batch: batch).with_output_types(pa.RecordBatch)
        silences = typed | GuardWatcher(MODEL, 10 * SECOND, Readings.next_us)
        assert_that(silences, are("kind model reason", [("heartbeat", MODEL, "watcher_silent")] * told))
