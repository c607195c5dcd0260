"""Every metric of the job: namespace `halflife`, past participles, units in names.

Counts of scores carry version and role in the metric's name, because Beam's user metrics have no labels.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from apache_beam.metrics import Metrics
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.runners.runner import PipelineResult

from schemas.dead_letter_stages import Stage
from transforms.flow.tally import Told

NAMESPACE = "halflife"
_Counter = Metrics.DelegatingCounter
_Distribution = Metrics.DelegatingDistribution
_Gauge = Metrics.DelegatingGauge


@lru_cache(maxsize=4096)
def counter(name: str) -> _Counter:
    """The counter of that name."""
    found = Metrics.counter(NAMESPACE, name)
    found.inc = Told(name, found.inc)  # type: ignore[method-assign]  # as Beam itself does
    return found


@lru_cache(maxsize=256)
def distribution(name: str) -> _Distribution:
    """The distribution of that name; names end in their unit."""
    return Metrics.distribution(NAMESPACE, name)


@lru_cache(maxsize=256)
def gauge(name: str) -> _Gauge:
    """The gauge of that name: the last value that any worker set."""
    return Metrics.gauge(NAMESPACE, name)


RECORDS_READ = "records_read"
EVENTS_DECODED = "events_decoded"
EVENTS_FILTERED = "events_filtered"  # decoded, but events.where is not true
EVENTS_SCORED = "events_scored"
EVENTS_DONE_BEFORE = "events_done_before"  # by an earlier run of the job, under --only_new
EVENTS_IN_1970 = "events_in_1970"
EVENTS_LATE = "events_late"
RECEIPTS_WRITTEN = "receipts_written"
ROWS_EXPIRED = "late_rows_expired"
SHADOW_SCORES_FAILED = "shadow_scores_failed"
SHADOW_SCORES_SKIPPED = "shadow_scores_skipped"  # the shadow's model was still loading
EVENTS_SUBSTITUTED = "events_answered_by_another_release"  # the release in force could not answer
REASONS_COMPUTED = "reasons_computed"
REASONS_DROPPED = "reasons_dropped"  # the budget for them was used up
REASONS_FAILED = "reasons_failed"
SWAP_STALL_MS = "swap_stall_ms"  # how long each batch waited for a model
LIVE_VERSIONS = "live_versions"  # loaded in the worker that reported last
LOADS_UNLOGGED = "loads_unlogged"  # of this worker, in the store's access log
NEWEST_RELEASE_UNSERVED_MS = "newest_release_unserved_ms"  # age of the newest release until it answers
WATCHER_POLLED_AT_MS = "watcher_polled_at_ms"  # since the epoch
WATCHER_SILENCES = "watcher_silences"  # times that three polls passed without a heartbeat
POLLS_FAILED = "store_polls_failed"
RELEASES_ADMITTED = "releases_admitted"
RELEASES_REFUSED = "releases_refused"
TABLES_ADMITTED = "tables_admitted"  # releases of tables in the store, while a stream runs
TABLES_REFUSED = "tables_refused"
SEGMENTS_SEALED = "segments_sealed"  # by the job itself, of its audit
RECEIPTS_SEALED = "receipts_sealed"
SEALINGS_FAILED = "sealings_failed"
SCORE_BATCH_US = "score_batch_us"
DECODE_BEGAN_MS = "decode_began_ms"
LATEST_EVENT_S = "latest_event_s"  # of each batch, since the epoch, rounded down: sums must fit into an int64
ADMISSION_MS = "admission_ms"
ADMISSION_BEGAN_MS = "admission_began_ms"
DRIFT_ROWS_OBSERVED = "drift_rows_observed"
DRIFT_ROWS_WITHOUT_PROFILE = "drift_rows_without_profile"
DRIFT_ROWS_PROFILE_UNAVAILABLE = "drift_rows_profile_unavailable"  # the store could not be read
DRIFT_ROWS_TOO_LATE = "drift_rows_too_late"
DRIFT_COLUMNS_ABSENT = "drift_columns_absent"
DRIFT_PANES_MEASURED = "drift_panes_measured"
DRIFT_PANES_UNMEASURED = "drift_panes_unmeasured"  # the profile is not there or does not fit
DRIFT_STATISTICS_EMITTED = "drift_statistics_emitted"
QUALITY_ROWS_UNAVAILABLE = "quality_rows_unavailable"  # the version's manifest could not be read
QUALITY_ANSWERS_TOO_LATE = "quality_answers_too_late"  # after the first pane of their window
QUALITY_ANSWERS_REPEATED = "quality_answers_repeated"
QUALITY_PANES_MEASURED = "quality_panes_measured"
QUALITY_RECORDS_EMITTED = "quality_records_emitted"
CHANGES_SEEN_PREFIX = "changes_seen/"  # of errors, by the detector
KAFKA_OFFSETS_SKIPPED = "kafka_offsets_skipped"
KAFKA_RECORDS_LOST = "kafka_records_lost"  # in damaged batches
RECORDS_IN_FUTURE = "records_in_future"
SCHEMA_REGISTRY_SILENCES = "schema_registry_silences"
DEAD_LETTERS_SHORTENED = "dead_letters_shortened"  # to what one record of a topic may hold
LABELS_READ = "labels_read"
LABELS_PENDING = "labels_pending"  # without the time at which they were known
LABELS_UNREADABLE = "labels_unreadable"
LABELS_REPEATED = "labels_repeated"  # events with several labels of one value
LABELS_CONTRADICTED = "labels_contradicted"  # events with labels of several values
LABELS_TRUE = "labels_true"  # of events, where labels are true or false
LABELS_FALSE = "labels_false"
LABELS_SILENT_PREFIX = "labels_silent_s/"  # for how long no label has come, by topic
LABELS_WITHOUT_EVENT = "labels_without_event"
LABEL_OUTCOMES_PREFIX = "label_outcomes/"  # of events
TRAINING_PARTS_PREFIX = "training_parts/"  # rows of a training set
DEAD_LETTERS_PREFIX = "dead_letters/"
LETTER_ERRORS_PREFIX = "dead_letter_errors/"
LETTERS_BEFORE_PREFIX = "dead_letters_before/"  # written by an earlier run already
RELEASE_OUTCOME_PREFIX = "release_outcome/"
SCORES_PREFIX = "scores/"
RELEASE_PREFIX = "release/"
OVER_LIMIT_PREFIX = "features_over_limit/"
UNSEEN_PREFIX = "unseen_categories/"
RECORDS_SKIPPED_PREFIX = "records_skipped/"  # which are no events, by what they are
WITHOUT_ROW_PREFIX = "events_without_row/"  # of the table of a lookup
FORMER_TABLE_PREFIX = "events_by_former_table/"  # that another version of it answered than the one in force
RECORDS_DELETED_PREFIX = "kafka_records_deleted/"


def dead_letters(stage: Stage) -> _Counter:
    """Counts dead letters of a stage."""
    return counter(DEAD_LETTERS_PREFIX + stage)


def letters_by_error(stage: Stage, error: str) -> _Counter:
    """Counts dead letters of a stage with an error."""
    return counter(f"{LETTER_ERRORS_PREFIX}{stage}/{error}")


def letters_before(stage: Stage, error: str) -> _Counter:
    """Counts dead letters that earlier runs have written already; they are in the counts of dead letters too."""
    return counter(f"{LETTERS_BEFORE_PREFIX}{stage}/{error}")


def release_outcome(sequence: int, outcome: str, reason: str = "") -> _Counter:
    """Counts decisions on a release: `admitted`, `refused` with a reason, `unreadable`."""
    return counter(f"{RELEASE_OUTCOME_PREFIX}{sequence}/{outcome}/{reason}")


def scores(version: str, role: str) -> _Counter:
    """Counts scores of a version in a role."""
    return counter(f"{SCORES_PREFIX}{role}/{version}")


def over_limit(feature: str) -> _Counter:
    """Counts events whose value of a feature is null since a tile has more distinct values than are kept."""
    return counter(OVER_LIMIT_PREFIX + feature)


def unseen_categories(version: str, name: str) -> _Counter:
    """Counts scores of a version whose input of that name is a category that the model never saw."""
    return counter(f"{UNSEEN_PREFIX}{version}/{name}")


def answers_by(sequence: int) -> _Counter:
    """Counts events that a release answered."""
    return counter(f"{RELEASE_PREFIX}{sequence}")


def records_deleted(topic: str, partition: int) -> _Counter:
    """Counts records of a topic that the broker deleted before they were read."""
    return counter(f"{RECORDS_DELETED_PREFIX}{topic}/{partition}")


def by_rest(prefix: str, counts: Mapping[str, int]) -> dict[str, int]:
    """The counts whose names begin with one of the prefixes above, by the rest of the name, in order; zeros are left
    out.

    >>> by_rest(SCORES_PREFIX, {"scores/champion/v1": 3, "scores/shadow/v2": 0, "records_read": 4})
    {'champion/v1': 3}
    """
    return {name.removeprefix(prefix): n for name, n in sorted(counts.items()) if name.startswith(prefix) and n}


def by_names(prefix: str, counts: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """The counts whose names are two below one of the prefixes above, by the first and then by the second.

    >>> by_names(SCORES_PREFIX, {"scores/champion/v1": 3, "scores/champion/v2": 1, "scores/shadow/v2": 4})
    {'champion': {'v1': 3, 'v2': 1}, 'shadow': {'v2': 4}}
    """
    found: dict[str, dict[str, int]] = {}
    for names, number in by_rest(prefix, counts).items():
        first, second = names.split("/", 1)
        found.setdefault(first, {})[second] = number
    return found


def letters_by_stage(counts: Mapping[str, int], stages: Iterable[Stage]) -> dict[Stage, int]:
    """Dead letters by stage, of all the stages given.

    >>> letters_by_stage({"dead_letters/decode": 2, "dead_letters/score": 1}, ("decode", "features"))
    {'decode': 2, 'features': 0}
    """
    return {stage: counts.get(DEAD_LETTERS_PREFIX + stage, 0) for stage in stages}


def counts_of(result: PipelineResult) -> dict[str, int]:
    """All of the job's counters by name, attempted values summed over steps."""
    found = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))
    totals: dict[str, int] = {}
    for metric in found["counters"]:
        name = metric.key.metric.name
        totals[name] = totals.get(name, 0) + int(metric.result or 0)
    return totals


def earliest_us(result: PipelineResult) -> int:
    """When the first batch was decoded, microseconds since the epoch; 0 if none was."""
    return min((d.min * 1000 for d in _distributions(result, DECODE_BEGAN_MS)), default=0)


def latest_event_us(result: PipelineResult) -> int | None:
    """The time of the latest event that was decoded, rounded up to a second; None without events."""
    return max(((d.max + 1) * 1_000_000 for d in _distributions(result, LATEST_EVENT_S)), default=None)


def startup_us(result: PipelineResult, started_us: int) -> int:
    """From `started_us` to the first batch decoded, plus the admission of models where it came after that.

    Runners choose the order of the two; on bounded input each happens once, never at the same time.
    """
    decoding = earliest_us(result)
    began = min((d.min * 1000 for d in _distributions(result, ADMISSION_BEGAN_MS)), default=0)
    admission = sum(d.sum * 1000 for d in _distributions(result, ADMISSION_MS))
    return max(decoding - started_us, 0) + (admission if began > decoding else 0)


def _distributions(result: PipelineResult, name: str) -> list[Any]:
    found = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE).with_name(name))
    return [metric.result for metric in found["distributions"] if metric.result is not None]
