"""MeasureDrift: turns scored batches into drift statistics per window, version, role, segment and column."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.transforms import trigger
from apache_beam.transforms.window import FixedWindows, GlobalWindows, IntervalWindow, TimestampedValue
from apache_beam.typehints.native_type_compatibility import convert_to_beam_type
from apache_beam.utils.timestamp import Duration, Timestamp
from apache_beam.utils.windowed_value import PaneInfo

from models.profiles import Profile
from schemas import batches
from schemas.job import DriftSpec
from transforms.drift.count_too_late import CountTooLate, WindowRows
from transforms.drift.drift_groups import GroupCounts, columns_to_count, count_windows, split_by_version
from transforms.drift.drift_profiles import ProfileLoader, Profiles, VersionKey
from transforms.drift.drift_records import DriftOrigin, Pane, drift_records
from transforms.drift.drift_sums import Tally, added_counts
from transforms.drift.drift_tally import TallyFn
from transforms.flow import metrics

WINDOW_ROWS = "window_rows"

_ROWS_TOGETHER = 16_384
_MEASURED_TOGETHER = 500_000  # counts
_HELD_COUNTS = 8_000_000  # 64 MB of counts in one bundle; then they are emitted

CountKey: TypeAlias = tuple[str, str, int]  # and the window's start: runners search all windows of a key


class _ObserveFn(beam.DoFn):
    """Counts batches on their versions' profiles and adds the counts over a bundle, before anything is shuffled."""

    def __init__(self, spec: DriftSpec, loader: ProfileLoader) -> None:
        self._spec = spec
        self._loader = loader

    def setup(self) -> None:
        self._profiles = Profiles(self._loader)

    def start_bundle(self) -> None:
        self._tallies: dict[CountKey, Tally] = {}
        self._latest: dict[CountKey, int] = {}
        self._rows: dict[int, int] = {}
        self._held = 0
        self._waiting: dict[tuple[VersionKey, pa.Schema], list[pa.RecordBatch]] = {}
        self._waiting_rows, self._waiting_bytes = 0, 0

    def process(self, batch: pa.RecordBatch) -> Iterator[Any]:
        for version, digest, rows in split_by_version(batch):
            self._waiting.setdefault(((version, digest), batch.schema), []).append(rows)
        self._waiting_rows += batch.num_rows
        self._waiting_bytes += batch.nbytes
        if self._waiting_rows >= _ROWS_TOGETHER or self._waiting_bytes >= batches.WHOLE_BYTES:
            self._count_waiting()
        if self._held > _HELD_COUNTS:
            yield from self._hand_on(TimestampedValue)

    def _count_waiting(self) -> None:
        """Counts several batches at once, because the cost is per column and call rather than per row."""
        waiting, self._waiting, self._waiting_rows, self._waiting_bytes = self._waiting, {}, 0, 0
        for (key, schema), held in waiting.items():
            profile, unavailable = self._profiles.of(key)
            if profile is None:
                unread = metrics.DRIFT_ROWS_PROFILE_UNAVAILABLE if unavailable else metrics.DRIFT_ROWS_WITHOUT_PROFILE
                metrics.counter(unread).inc(sum(rows.num_rows for rows in held))
                continue
            names = columns_to_count(profile, self._spec.segments, schema)
            self._count(key, profile, batches.concat_batches([rows.select(names) for rows in held]))

    def _count(self, key: VersionKey, profile: Profile, rows: pa.RecordBatch) -> None:
        metrics.counter(metrics.DRIFT_ROWS_OBSERVED).inc(rows.num_rows)
        absent = len(profile.columns) - len(profile.observable(rows.schema))
        if absent:
            metrics.counter(metrics.DRIFT_COLUMNS_ABSENT).inc(absent)
        for piece in count_windows(profile, rows, self._spec.segments, self._spec.window_us):
            count_key = (*key, piece.window_start_us)
            tally = self._tallies.setdefault(count_key, Tally())
            before = tally.size
            tally.add(piece.counts)
            self._held += tally.size - before
            self._latest[count_key] = max(self._latest.get(count_key, piece.latest_us), piece.latest_us)
            self._rows[piece.window_start_us] = self._rows.get(piece.window_start_us, 0) + piece.rows

    def finish_bundle(self) -> Iterator[Any]:
        return self._hand_on(GlobalWindows.windowed_value)

    def _hand_on(self, stamp: Callable[[Any, Timestamp], Any]) -> Iterator[Any]:
        """Each sum with its greatest event time as its timestamp, which is in its window."""
        self._count_waiting()
        for key, tally in self._tallies.items():
            yield stamp((key, tally.sums()), Timestamp(micros=self._latest[key]))
        for start, rows in self._rows.items():
            stamped = stamp((start + self._spec.window_us, rows), Timestamp(micros=start))
            yield beam.pvalue.TaggedOutput(WINDOW_ROWS, stamped)
        self.start_bundle()


class _MeasureFn(beam.DoFn):
    """Statistics of the counts of one version in one pane of a window."""

    def __init__(self, spec: DriftSpec, loader: ProfileLoader, model: str, run: str | None) -> None:
        self._spec = spec
        self._loader = loader
        self._model = model
        self._run = run

    def setup(self) -> None:
        self._profiles = Profiles(self._loader)

    def process(
        self,
        element: tuple[CountKey, GroupCounts],
        window: IntervalWindow = beam.DoFn.WindowParam,  # type: ignore[assignment]  # Beam's way to ask for it
        pane: PaneInfo = beam.DoFn.PaneInfoParam,  # type: ignore[assignment]  # Beam's way to ask for it
    ) -> Iterator[pa.RecordBatch]:
        (version, digest, _), counts = element
        origin = DriftOrigin(window.start.micros, window.end.micros, pane.index, self._model, version, self._run)
        yield from _records(self._profiles.of((version, digest)).profile, [Pane(counts, origin)], self._spec)


class _MeasureWholeFn(beam.DoFn):
    """Statistics of all windows of bounded input, one pane each; the windows of a version are measured together."""

    def __init__(self, spec: DriftSpec, loader: ProfileLoader, model: str, run: str | None) -> None:
        self._spec, self._loader, self._model, self._run = spec, loader, model, run

    def setup(self) -> None:
        self._profiles = Profiles(self._loader)

    def start_bundle(self) -> None:
        self._panes: dict[VersionKey, list[Pane]] = {}
        self._held = 0

    def process(self, element: tuple[CountKey, Iterable[GroupCounts]]) -> Iterator[TimestampedValue[pa.RecordBatch]]:
        (version, digest, start_us), parts = element
        counts = added_counts(parts)
        origin = DriftOrigin(start_us, start_us + self._spec.window_us, 0, self._model, version, self._run)
        self._panes.setdefault((version, digest), []).append(Pane(counts, origin))
        self._held += counts.cells * len(counts.groups)
        if self._held > _MEASURED_TOGETHER:
            for records in self._measured():
                yield TimestampedValue(records, _earliest(records))

    def finish_bundle(self) -> Iterator[Any]:
        for records in self._measured():
            yield GlobalWindows.windowed_value(records, _earliest(records))

    def _measured(self) -> Iterator[pa.RecordBatch]:
        panes, self._panes, self._held = self._panes, {}, 0
        for key, own in panes.items():
            yield from _records(self._profiles.of(key).profile, own, self._spec)


def _earliest(records: pa.RecordBatch) -> Timestamp:
    return Timestamp(micros=int(pc.min(records.column("window_start")).value))


def _records(profile: Profile | None, panes: Sequence[Pane], spec: DriftSpec) -> Iterator[pa.RecordBatch]:
    """The records of the panes of a version, none where its profile does not fit them."""
    fitting = [pane for pane in panes if profile is not None and len(profile.reference) == pane.counts.cells]
    if len(fitting) < len(panes):  # drift never stops the job: the store does not answer, or the bundle is gone
        metrics.counter(metrics.DRIFT_PANES_UNMEASURED).inc(len(panes) - len(fitting))
    if profile is None or not fitting:
        return
    records = drift_records(profile, fitting, spec)
    metrics.counter(metrics.DRIFT_PANES_MEASURED).inc(len(fitting))
    metrics.counter(metrics.DRIFT_STATISTICS_EMITTED).inc(records.num_rows)
    if records.num_rows:
        yield records


class MeasureDrift(beam.PTransform[beam.PCollection[pa.RecordBatch], beam.PCollection[pa.RecordBatch]]):
    """Measures how far each version's inputs and scores are from its reference profile, per fixed window.

    Input: batches of scored events in the global window, one row per (event, version): `__event_time`
    (timestamp[us, UTC]), `__version`, `__role`, `__digest`, `score` (float64), and the columns of the
    profiles and segments under their names. A batch may span windows; on unbounded input its own timestamp must be no
    later than its earliest row, or rows may count as late although they are not. Output: batches of DriftStatistic, one
    per (window, version, pane), in the spec's fixed windows. Pane 0 is emitted when the watermark passes the window's
    end, and another pane for each bundle of late rows within the allowed lateness; each pane counts all rows so far.
    Rows that are later still enter no statistic and are counted in `drift_rows_too_late`. Nothing is dead-lettered, and
    nothing stops or waits: rows of versions whose profile the store cannot give at the moment are counted in
    `drift_rows_profile_unavailable`, panes in `drift_panes_unmeasured`; rows of versions without a profile in
    `drift_rows_without_profile`, columns of a profile that a batch lacks, or has in a type that does not fit, in
    `drift_columns_absent`. State: per version and window one count per group and cell of its profile, until the
    lateness is over. Segment columns should have few values: each is a group (about 8 kB for 15 columns), up to 10,000
    of a column, role and window; the others are one more group.
    """

    def __init__(self, spec: DriftSpec, profiles: ProfileLoader, model: str, run: str | None = None) -> None:
        super().__init__()
        if spec.window_us <= 0 or spec.window_us % 1000:
            raise ValueError(f"drift window of {spec.window_us} us; allowed: whole milliseconds above 0")
        self._spec = spec
        self._loader = profiles
        self._model = model
        self._run = run

    def expand(self, scored: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[pa.RecordBatch]:
        observing = beam.ParDo(_ObserveFn(self._spec, self._loader))
        observed = scored | "Observe" >> observing.with_outputs(WINDOW_ROWS, main="counts")
        observed.counts.element_type = convert_to_beam_type(tuple[CountKey, GroupCounts])
        observed[WINDOW_ROWS].element_type = WindowRows
        counts, given = observed.counts, (self._spec, self._loader, self._model, self._run)
        measuring: beam.DoFn = _MeasureWholeFn(*given)
        if not scored.is_bounded:
            _ = observed[WINDOW_ROWS] | "CountTooLate" >> CountTooLate(self._spec.allowed_lateness_us)
            counts, measuring = counts | "Window" >> self._windows(), _MeasureFn(*given)
        # Bounded input has a perfect watermark: nothing is late. Windows are part of the key, because Beam's own
        # windows would cost more than the measurement in them.
        # Nor are counts added before they are grouped: each bundle has one for each key already.
        adding: Any = beam.GroupByKey() if scored.is_bounded else beam.CombinePerKey(TallyFn())  # type: ignore[no-untyped-call]  # CombineFn has no types
        added = counts | "AddUp" >> adding
        measured: beam.PCollection[pa.RecordBatch] = added | "Measure" >> beam.ParDo(measuring).with_output_types(
            pa.RecordBatch
        )
        return measured

    def _windows(self) -> beam.WindowInto:
        return beam.WindowInto(
            FixedWindows(Duration(micros=self._spec.window_us)),
            trigger=trigger.AfterWatermark(late=trigger.AfterCount(1)),
            accumulation_mode=trigger.AccumulationMode.ACCUMULATING,
            allowed_lateness=Duration(micros=self._spec.allowed_lateness_us),
        )
