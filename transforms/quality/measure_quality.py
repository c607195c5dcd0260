"""MeasureQuality: turns scored batches and labels into metrics per window, version, role and segment."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.transforms.window import GlobalWindows, TimestampedValue
from apache_beam.typehints.native_type_compatibility import convert_to_beam_type
from apache_beam.utils.timestamp import Timestamp

from models.bundles.manifest import Manifest
from schemas import batches
from schemas.columns import ARROW_TYPES, FairnessSpec
from schemas.job import ConceptDriftSpec, DriftSpec, EventsSpec, LabelsSpec
from schemas.times import now_us
from transforms.drift.drift_groups import DIGEST, ROLE, VERSION, split_by_version
from transforms.flow import metrics
from transforms.flow.dead_letters import DEAD_LETTERS
from transforms.flow.hiding import hiding_of
from transforms.flow.sharding import hash_ids, split_by_shard
from transforms.labels.label_join import LABEL_OF, labels_table
from transforms.quality.answers import ErrorsBy, ScoredBy, Whose, answers_of, scored_by, whose
from transforms.quality.arriving import ArrivingFn, handed_on
from transforms.quality.clusters import subject_parts
from transforms.quality.held import Also, Reached, sums_by
from transforms.quality.joining import Answers, LabelledAnswers, beyond_horizon, by_version, labelled_answers
from transforms.quality.manifests import ManifestLoader, Manifests, decided_classes
from transforms.quality.measuring.quality_records import QualityOrigin
from transforms.quality.merge_panes import SHARD_PANE, MergePanes, counted_records, pane_key, parts_of
from transforms.quality.pairing import pairs_of
from transforms.quality.panes import Schedule
from transforms.quality.protected import FairnessRules, columns_read, groups_in
from transforms.quality.sums.end_to_end import end_to_end
from transforms.quality.sums.error_sums import sums_of_errors
from transforms.quality.sums.group_sums import GroupSums
from transforms.quality.sums.pair_sums import PairSums, sums_of_pairs
from transforms.quality.sums.sums_coder import AnySums, QualitySums, SumsFn

Sharded: TypeAlias = tuple[int, pa.RecordBatch]
_ROWS_TOGETHER = 16_384
_WINDOWS_TOGETHER = 64  # of bounded input, that are added up and measured at once
_GROUPS_TOGETHER = 8_192  # of bounded input, that are measured at once
_ANSWERS, _LABELS = "answers", "labels"
_COLUMNS = (
    batches.EVENT_ID,
    batches.EVENT_TIME,
    batches.SCORE,
    batches.SCORE_OF_EVENT,
    batches.LATENCY,
    VERSION,
    ROLE,
    DIGEST,
)


class QualitySpec(NamedTuple):
    """Windows, lateness and segments; which labels, None where there are none; over how many shards of ids both are
    spread; what is compared between groups of people, None for nothing; and whether events have subjects, on which
    those of one depend."""

    drift: DriftSpec
    labels: LabelsSpec | None
    shards: int
    fairness: FairnessSpec | None = None
    subjects: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of events that are read: those of segments, protected ones, and that of subjects."""
        protected = columns_read(self.fairness) if self.fairness else ()
        return (*self.drift.segments, *protected, *([batches.SUBJECT] if self.subjects else []))

    @property
    def also(self) -> Also:
        """What is measured beside quality."""
        rules = None if self.fairness is None else FairnessRules(self.fairness, self.drift.segments)
        return Also(self.concept_drift is not None, rules)

    @property
    def concept_drift(self) -> ConceptDriftSpec | None:
        """How detectors of changes read errors."""
        return None if self.labels is None else self.labels.concept_drift

    @property
    def schedule(self) -> Schedule:
        """When panes of a stream are due."""
        horizon_us = None if self.labels is None else self.labels.horizon_us
        return Schedule(self.drift.window_us, self.drift.allowed_lateness_us, horizon_us)

    @property
    def records(self) -> EventsSpec | None:
        """How records of labels are read."""
        return None if self.labels is None else self.labels.records


class QualityOutputs(NamedTuple):
    """`quality`: batches of Quality; `dead_letters`: of labels that came too long after their events."""

    quality: beam.PCollection[pa.RecordBatch]
    dead_letters: beam.PCollection[pa.RecordBatch]


class _AnswersFn(beam.DoFn):
    """Takes from scored batches what quality needs, gathered over a bundle and cut by shard, before anything is
    shuffled."""

    def __init__(self, spec: QualitySpec, loader: ManifestLoader) -> None:
        self._segments, self._shards, self._fairness = spec.drift.segments, spec.shards, spec.fairness
        self._loader, self._names = loader, [*_COLUMNS, *spec.columns]
        self._subjects, self._window_us = spec.subjects, spec.drift.window_us

    def setup(self) -> None:
        self._manifests = Manifests(self._loader)
        self._known: dict[tuple[str, str], ScoredBy] = {}

    def start_bundle(self) -> None:
        self._held: dict[ScoredBy, list[pa.RecordBatch]] = {}
        self._waiting: dict[tuple[str, str, pa.Schema], list[pa.RecordBatch]] = {}
        self._rows = 0

    def process(self, batch: pa.RecordBatch) -> Iterator[Any]:
        own = batch.select([name for name in dict.fromkeys(self._names) if name in batch.schema.names])
        for version, digest, rows in split_by_version(own):
            self._waiting.setdefault((version, digest, own.schema), []).append(rows)
        self._rows += own.num_rows
        if self._rows >= _ROWS_TOGETHER:
            yield from self._hand_on(TimestampedValue)

    def _take_waiting(self) -> None:
        """Several batches at once, because the cost is per call rather than per row."""
        waiting, self._waiting = self._waiting, {}
        for (version, digest, _), held in waiting.items():
            rows = batches.concat_batches(held)
            manifest = self._manifests.of(version, digest)
            if manifest is None:
                metrics.counter(metrics.QUALITY_ROWS_UNAVAILABLE).inc(rows.num_rows)
                continue
            for role in rows.column(ROLE).unique().to_pylist():
                self._take(manifest, role, rows)

    def _take(self, manifest: Manifest, role: str, rows: pa.RecordBatch) -> None:
        own = pc.equal(rows.column(ROLE), role).to_numpy(zero_copy_only=False)
        by = self._known.setdefault((manifest.digest, role), scored_by(manifest, role))
        chosen = batches.take_rows(rows, own)
        decided = decided_classes(manifest, chosen) if by.of_classes else None
        protected = groups_in(chosen, self._fairness) if self._fairness else {}
        clusters = self._clusters(chosen) if self._subjects else None
        self._held.setdefault(by, []).append(answers_of(chosen, by, self._segments, decided, protected, clusters))

    def _clusters(self, rows: pa.RecordBatch) -> pa.Array:
        return subject_parts(rows.column(batches.SUBJECT), batches.times_us(rows), self._window_us)

    def finish_bundle(self) -> Iterator[Any]:
        return self._hand_on(GlobalWindows.windowed_value)

    def _hand_on(self, stamp: Any) -> Iterator[Any]:
        self._take_waiting()
        for answers in self._held.values():
            whole = batches.concat_batches(answers)
            for sharded in sharded_by(whole, batches.EVENT_ID, self._shards):
                yield stamp(sharded, Timestamp(micros=int(batches.times_us(sharded[1]).min())))
        self.start_bundle()


def sharded_by(batch: pa.RecordBatch, column: str, shards: int) -> list[Sharded]:
    """A batch cut by the shard of the ids in a column."""
    return [(0, batch)] if shards == 1 else split_by_shard(batch, hash_ids(batch.column(column)), shards)


class _ShardLabelsFn(beam.DoFn):
    def __init__(self, shards: int) -> None:
        self._shards = shards

    def process(self, batch: pa.RecordBatch) -> list[Sharded]:
        return sharded_by(batch, LABEL_OF, self._shards)


class _WholeShardFn(beam.DoFn):
    """All answers and labels of a shard at once: bounded input, whose windows have one pane, when all is known."""

    def __init__(self, spec: QualitySpec) -> None:
        self._window_us, self._horizon_us = spec.drift.window_us, spec.schedule.horizon_us
        self._kind, self._records, self._labelled = label_type(spec.labels), spec.records, spec.labels is not None
        self._also = spec.also

    def setup(self) -> None:
        self._hides = hiding_of(self._records)

    def process(self, shard: tuple[int, dict[str, Iterable[pa.RecordBatch]]]) -> Iterator[Any]:
        known = list(shard[1].get(_LABELS, ()))
        answers, labels = by_version(shard[1][_ANSWERS]), labels_table(known, self._kind)
        found = labelled_answers(answers, labels, self._horizon_us, may_repeat=False)
        if self._labelled:
            yield from self._of_versions(found, answers, labels)
        for pair, paired in pairs_of(found):
            for each, rows in self._chunks(paired.own.times_us):
                yield pane_key(pair, each), sums_of_pairs(paired.chosen(rows), pair, self._window_us)

    def _of_versions(self, found: LabelledAnswers, answers: Answers, labels: pa.Table) -> Iterator[Any]:
        late = found.joined.out_of_time
        letters = beyond_horizon(answers, labels, self._horizon_us, now_us()) if late else []
        yield from handed_on(
            Reached([], [found.joined], letters, found.joined.without_event, found.repeated), self._hides
        )
        for by, beside in found.beside.items():
            for each, rows in self._chunks(beside.times_us):
                own, sums = sums_by(beside.chosen(rows), by, self._window_us, self._also.fairness)
                yield pane_key(own, each), sums
            if self._also.errors:  # those of all windows together, since detectors read one after the other
                yield pane_key(ErrorsBy(by), 0), sums_of_errors(beside, by, self._window_us)

    def _chunks(self, times_us: npt.NDArray[np.int64]) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
        """Rows of windows that are added up together."""
        chunk = np.floor_divide(times_us, self._window_us * _WINDOWS_TOGETHER)
        for each in np.unique(chunk).tolist():
            yield int(each), chunk == each


class _RecordsFn(beam.DoFn):
    """Measures sums, each of other windows than the others of its key, several of them together."""

    def __init__(self, spec: QualitySpec, model: str, run: str | None) -> None:
        self._origin, self._changes = QualityOrigin(spec.drift.window_us, 0, model, run), spec.concept_drift

    def start_bundle(self) -> None:
        self._held: dict[str, list[Any]] = {}
        self._groups = 0

    def process(self, element: tuple[str, AnySums]) -> Iterator[Any]:
        key, sums = element
        by, _ = parts_of(key)
        if not isinstance(sums, GroupSums | PairSums):
            yield self._records(sums, by, TimestampedValue)
            return
        self._held.setdefault(by.text(), []).append(sums)
        self._groups += len(sums.groups)
        if self._groups >= _GROUPS_TOGETHER:
            yield from self._measured(TimestampedValue)

    def finish_bundle(self) -> Iterator[Any]:
        return self._measured(GlobalWindows.windowed_value)

    def _measured(self, stamp: Any) -> Iterator[Any]:
        for text, parts in self._held.items():
            yield self._records(end_to_end(parts), whose(text), stamp)
        self.start_bundle()

    def _records(self, sums: AnySums, by: Whose, stamp: Any) -> Any:
        earliest = min(start for start, _ in sums.groups)
        return stamp(counted_records(sums, by, self._origin, self._changes), Timestamp(micros=earliest))


def label_type(labels: LabelsSpec | None) -> pa.DataType:
    """The Arrow type of labels."""
    return pa.bool_() if labels is None or labels.positive else ARROW_TYPES[labels.column[1]]


class MeasureQuality(beam.PTransform[Any, QualityOutputs]):
    """Measures how good each version's answers are, per fixed window, as labels come, and how two versions' answers to
    the same events differ; with `labels.concept_drift` also when a version's errors changed.

    Input: batches of scored events as `MeasureDrift` reads them, and batches of labels as `DecodeLabels` makes them,
    both in the global window. Outputs: `quality`, `dead_letters` (stage labels, error `BeyondHorizon`, of a stream also
    `AfterLastPane`). Bounded input has one pane for each window, by all labels within the horizon. A stream needs a
    horizon; its panes are due when `transforms.quality.panes` says, each by the labels that were known then, so that
    the last one equals that of bounded input. Nothing stops or waits: answers of versions whose manifest cannot be read
    are counted in `quality_rows_unavailable`, those that come after the first pane of their window in
    `quality_answers_too_late`.
    State, of streams, per shard of ids: about 60 bytes for each answer of each role until its window, the lateness
    and the horizon have passed, then 16 bytes for each event for one more horizon, labels as long as answers may have
    them; per version, role and window the sums of the latest pane.
    """

    def __init__(self, spec: QualitySpec, loader: ManifestLoader, model: str, run: str | None = None) -> None:
        super().__init__()
        self._spec, self._loader, self._model, self._run = spec, loader, model, run

    def expand(self, inputs: tuple[beam.PCollection[pa.RecordBatch], beam.PCollection[pa.RecordBatch]]):  # type: ignore[no-untyped-def]  # Beam warns on NamedTuple hints
        scored, labels = inputs
        taking = beam.ParDo(_AnswersFn(self._spec, self._loader)).with_output_types(Sharded)
        answers = scored | "Answers" >> taking
        known = labels | "ShardLabels" >> beam.ParDo(_ShardLabelsFn(self._spec.shards)).with_output_types(Sharded)
        if scored.is_bounded and labels.is_bounded:
            return self._of_whole({_ANSWERS: answers, _LABELS: known})
        return self._of_stream((answers, known))

    def _of_whole(self, inputs: dict[str, Any]) -> QualityOutputs:
        together = inputs | "Group" >> beam.CoGroupByKey()
        joining = beam.ParDo(_WholeShardFn(self._spec)).with_outputs(DEAD_LETTERS, main="sums")
        joined = together | "Join" >> joining
        joined.sums.element_type = convert_to_beam_type(tuple[str, QualitySums])
        joined[DEAD_LETTERS].element_type = pa.RecordBatch
        added = joined.sums | "AddUp" >> beam.CombinePerKey(SumsFn())  # type: ignore[no-untyped-call]  # CombineFn has no types
        measuring = beam.ParDo(_RecordsFn(self._spec, self._model, self._run)).with_output_types(pa.RecordBatch)
        return QualityOutputs(added | "Measure" >> measuring, joined[DEAD_LETTERS])

    def _of_stream(self, inputs: tuple[Any, ...]) -> QualityOutputs:
        schedule, kind = self._spec.schedule, label_type(self._spec.labels)
        assert self._spec.labels is None or schedule.horizon_us is not None, "the spec of a stream states it"
        together = inputs | "Together" >> beam.Flatten().with_output_types(Sharded)
        arriving = ArrivingFn(schedule, kind, self._spec.records, self._spec.also)
        joined = together | "Arrive" >> beam.ParDo(arriving).with_outputs(DEAD_LETTERS, main="panes")
        joined.panes.element_type = SHARD_PANE
        joined[DEAD_LETTERS].element_type = pa.RecordBatch
        merging = MergePanes(schedule, self._model, self._run, self._spec.concept_drift)
        measured = joined.panes | "MergePanes" >> merging
        return QualityOutputs(measured, joined[DEAD_LETTERS])


class MeasurePairs(MeasureQuality):
    """As `MeasureQuality` where there are no labels: how two versions' answers to the same events differ.

    Input: batches of scored events. Outputs: `quality`, of pairs alone, whose losses are null; `dead_letters`, none. A
    window of a stream has one pane, when the watermark has passed its end and the lateness, and its answers are held
    until then.
    """

    def __init__(self, spec: QualitySpec, loader: ManifestLoader, model: str, run: str | None = None) -> None:
        super().__init__(spec._replace(labels=None, fairness=None), loader, model, run)

    def expand(self, scored: Any):  # type: ignore[no-untyped-def]  # Beam warns on NamedTuple hints
        taking = beam.ParDo(_AnswersFn(self._spec, self._loader)).with_output_types(Sharded)
        answers = scored | "Answers" >> taking
        return self._of_whole({_ANSWERS: answers}) if scored.is_bounded else self._of_stream((answers,))
