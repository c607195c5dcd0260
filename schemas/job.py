"""The resolved job spec as frozen values, with which every transform is configured.

These classes hold no parsing: `pipeline.spec.job` reads YAML, validates it against `job.schema.json` and fills them.
Durations are microseconds (suffix `_us`), times are microseconds since 1970-01-01T00:00:00Z.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from schemas.columns import TIMESTAMP, ColumnKind, FairnessSpec
from schemas.keys import defaults_of
from schemas.times import parse_duration_us

DEFAULT_MAX_BUNDLE_BYTES: int = defaults_of("job")["model.max_bytes"]
DEFAULT_ADMISSION_TIMEOUT_US = parse_duration_us(defaults_of("job")["model.admission_timeout"])
"""The largest bundle allowed by default is hashed and loaded within a minute; this leaves room on a busy worker."""


@dataclass(frozen=True, slots=True)
class CsvSpec:
    """How CSV files are written. None: not stated, so that it is guessed from the input, or has its default.

    `header`: whether the first line names the columns, or their names. `nulls`: the spellings of a missing value in
    columns of every type. `quote`: empty where nothing is quoted.
    """

    delimiter: str | None = None
    decimal: str | None = None
    quote: str = '"'
    header: bool | tuple[str, ...] = True
    nulls: tuple[str, ...] | None = None
    encoding: str | None = None


@dataclass(frozen=True, slots=True)
class DerivedSpec:
    """A feature that an expression computes of each event, as the one text of `schemas.expressions`, and its kind.

    `late`: it reads windowed features, so that it is computed after them. `reads`: the features and the
    columns of tables that it names.
    """

    name: str
    expression: str
    kind: ColumnKind
    late: bool = False
    reads: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TableRelease:
    """From a time on (microseconds since 1970) a version of a table holds; `digest` is that of its manifest."""

    sequence: int
    effective_from_us: int
    version: str
    digest: str
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TableRefusal:
    """A release of a table that changes nothing; `version` is None where the release itself cannot be read."""

    sequence: int
    version: str | None
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class StoredTable:
    """A table in a store: its releases as the job found them when it started, those that it refused, and the sequence
    of the last valid one."""

    store: str
    table: str
    releases: tuple[TableRelease, ...] = ()
    refused: tuple[TableRefusal, ...] = ()
    last: int = 0


@dataclass(frozen=True, slots=True)
class LookupSpec:
    """A table that is joined to events by key as of event time (docs/lookups.md).

    Its columns are the events' own as `name.column`. `on`: the event column whose value is the key, or several whose
    values together are it; `key`: those of the table, as many. `columns`: of the table, with their kinds. `valid_from`:
    the column with the time from which on a row holds, None where each holds always. `refuses`: an event without a row
    is not scored. `version` says which content of the table this is: another content is another version. `records`: how
    the files at `paths` are read, as those of events are. Of a table in a store, `stored`, there are no files, and each
    of its versions has the key, the time and the version that it states.
    """

    name: str
    on: str | tuple[str, ...]
    key: str | tuple[str, ...]
    valid_from: str | None
    columns: tuple[tuple[str, ColumnKind], ...]
    refuses: bool
    max_rows: int
    version: str
    records: "EventsSpec | None"
    paths: tuple[str, ...]
    stored: StoredTable | None = None

    @property
    def files(self) -> "EventsSpec":
        """How the files are read, of a table that has some."""
        assert self.records is not None
        return self.records

    @property
    def kinds(self) -> dict[str, ColumnKind]:
        """The columns that events have by it, with their kinds."""
        return {f"{self.name}.{column}": kind for column, kind in self.columns}


@dataclass(frozen=True, slots=True)
class PrivacySpec:
    """Where the keys of subjects lie, which columns are hidden beside the subject, and whether later events of an
    erased subject are refused; else they get a new key."""

    keys: str
    hide: tuple[str, ...] = ()
    refuses_erased: bool = False


@dataclass(frozen=True, slots=True)
class EventsSpec:
    """Where events come from and which of their columns carry identity and time.

    `uri` is that of the spec, of a service without its options. `columns` maps each event column the job uses to its
    type; decoding casts to it and dead-letters what does not fit. `time_range_us` bounds plausible event times
    (inclusive, exclusive). `where`: the condition of the events that are scored, None where all are. `derived`: what is
    computed of the columns of each event, in an order in which each reads only those before it.
    `time_format`: None for RFC 3339 and numbers of `time_unit`; `epoch` for these also as
    texts; else as `time_formats` reads it. Times without an offset are what the clocks of `time_zone`
    show; `time_ambiguous` says what a time is that they show twice or never. `texts`: the vectors that are written as
    one text, each with the sign between its numbers. `envelope`: what each record is in, of
    `schemas.formats.envelopes.kinds.ENVELOPES`. `lookups`: the tables that are joined to the events that are scored.
    `privacy`: that of the job.
    """

    uri: str
    format: Literal["csv", "parquet", "json", "avro", "tfexample", "arrow"]
    event_id: str
    event_time: str
    subject: str | None
    max_out_of_orderness_us: int
    columns: tuple[tuple[str, ColumnKind], ...]
    time_range_us: tuple[int, int]
    time_unit: Literal["s", "ms", "us", "ns", "days"]
    csv: CsvSpec = CsvSpec()
    where: str | None = None
    derived: tuple[DerivedSpec, ...] = ()
    time_format: str | None = None
    time_zone: str = "UTC"
    time_ambiguous: Literal["earlier", "later", "refuse"] = "refuse"
    texts: tuple[tuple[str, str], ...] = ()
    envelope: str | None = None
    lookups: tuple[LookupSpec, ...] = ()
    privacy: PrivacySpec | None = None

    @property
    def hides_ids(self) -> bool:
        """Whether the ids of events name a person, and are keyed hashes in records."""
        return self.privacy is not None and self.event_id in self.privacy.hide

    @property
    def of_event(self) -> dict[str, ColumnKind]:
        """All that an event has before windowed features: its columns, those of tables, what is computed of them."""
        joined = {name: kind for lookup in self.lookups for name, kind in lookup.kinds.items()}
        return {**dict(self.columns), **joined, **{each.name: each.kind for each in self.derived}}

    @property
    def decoded(self) -> tuple[tuple[str, ColumnKind], ...]:
        """The columns in the kinds that a format has them in: a vector that is written as one text is a string, and so
        is a time in CSV."""
        written = set(dict(self.texts))
        if self.format == "csv":
            written |= {name for name, kind in self.columns if kind == TIMESTAMP}
        return tuple((name, "string" if name in written else kind) for name, kind in self.columns)


@dataclass(frozen=True, slots=True)
class ConceptDriftSpec:
    """Which detectors read the errors of labelled answers, over which blocks of them.

    `parts`: of a window, at whose ends blocks may end; `block`: labelled events that a block has at least.
    `page_hinkley_delta`, `page_hinkley_threshold`: in standard deviations of a block.
    """

    detectors: tuple[str, ...] = ("adwin", "page_hinkley")
    parts: int = 4
    block: int = 200
    adwin_delta: float = 0.002
    page_hinkley_delta: float = 0.5
    page_hinkley_threshold: float = 8.0


@dataclass(frozen=True, slots=True)
class LabelsSpec:
    """The truth about events: how its records are read, which column it is in, and how long after its event it counts.

    `records`: as those of events, with the id of the event, the time at which the truth was known, and one column.
    `positive`: the comparison that makes true and false of the column, None where its values are the labels.
    `horizon_us`: None where a label counts whenever it comes. `concept_drift`: None where nothing looks for changes of
    the errors that labels show. `silent_after_us`: how long a topic of labels that a stream follows may be silent
    before windows end without; None: for ever.
    """

    records: EventsSpec
    positive: str | None = None
    horizon_us: int | None = None
    concept_drift: ConceptDriftSpec | None = None
    silent_after_us: int | None = None

    @property
    def column(self) -> tuple[str, ColumnKind]:
        """The column with the truth, and its type."""
        return self.records.columns[0]


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """One windowed feature (docs/design.md §7): aggregate of `column` over `key`'s events in `[T - size, T)`.

    `key` is a column, or several whose values together are the key; none of them makes one key of all events.
    `aggregate` is one of `transforms.features.aggregates`. `size_us` is None for all of the time before T.
    `column` is None only where the aggregate may be of events; `q` is set only for `quantile` (0 < q < 1). `where` is
    the condition of the events that count, None where all do. `reads`: the derived features of the event that it names,
    and the columns of tables.
    `half_life_us` is set only for what decays.
    """

    name: str
    key: str | tuple[str, ...]
    column: str | None
    aggregate: str
    size_us: int | None
    every_us: int
    q: float | None = None
    where: str | None = None
    reads: tuple[str, ...] = ()
    half_life_us: int | None = None


@dataclass(frozen=True, slots=True)
class FeaturesSpec:
    """All features, plus the limits of the windowed ones' state.

    `plain`: those that each event has by itself, in spec order: its columns read as they are, those of tables, and what
    is derived of them. `derived`: all that expressions compute, in an order in which each reads only those before it.
    """

    plain: tuple[str, ...]
    windowed: tuple[FeatureSpec, ...]
    allowed_lateness_us: int
    shards: int
    max_tile_values: int
    derived: tuple[DerivedSpec, ...] = ()
    events_where: str | None = None
    lookups: tuple[LookupSpec, ...] = ()

    @property
    def keys(self) -> tuple[str | tuple[str, ...], ...]:
        """The keys in the order of their first feature."""
        return tuple(dict.fromkeys(feature.key for feature in self.windowed))

    @property
    def late(self) -> tuple[DerivedSpec, ...]:
        """What is computed of windowed features."""
        return tuple(feature for feature in self.derived if feature.late)

    @property
    def names(self) -> tuple[str, ...]:
        """All features: those of the event itself, the windowed ones, and those computed of these."""
        return (*self.plain, *(each.name for each in self.windowed), *(each.name for each in self.late))


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Which model scores, where its bundles and releases live, and how often new ones are looked for.

    `trusted_key` is the public key (PEM) that every bundle must be signed with, None where unsigned ones may serve.
    `trust`: full names of the types besides Halflife's own list that objects of may be made where a bundle asks for it.
    `admission_timeout_us` is how long the checks of one bundle may take.
    """

    name: str
    store: str
    poll_us: int
    allow_pickle: bool
    max_bundle_bytes: int
    trusted_key: str | None = None
    trust: tuple[str, ...] = ()
    admission_timeout_us: int = DEFAULT_ADMISSION_TIMEOUT_US


@dataclass(frozen=True, slots=True)
class DriftSpec:
    """Windows and limits of the drift statistics; above its threshold a statistic may count as drifted.

    `thresholds`: of statistics beside PSI and KS. What has a threshold is measured.
    """

    window_us: int
    allowed_lateness_us: int
    segments: tuple[str, ...]
    psi_threshold: float
    ks_threshold: float
    thresholds: Mapping[str, float] = field(default_factory=dict)

    @property
    def limits(self) -> Mapping[str, float]:
        """The threshold of each statistic that is measured."""
        return {"psi": self.psi_threshold, "ks": self.ks_threshold} | dict(self.thresholds)


@dataclass(frozen=True, slots=True)
class ExplainSpec:
    """Which scores get reasons, how many, and what they may cost.

    `decisions`: those whose scores get reasons; else the `sample` of scores does, by their ids. `budget`: CPU time as a
    share of that of a worker's other work.
    """

    decisions: tuple[str, ...] | None = None
    sample: float = 1.0
    top: int = 4
    budget: float = 0.2


@dataclass(frozen=True, slots=True)
class SinksSpec:
    """Sink URIs by branch; None where the branch is not written. `format` is that of scores, drift
    statistics and quality."""

    scores: str | None
    audit: tuple[str, ...]
    drift: str | None
    dead_letters: str | None
    format: Literal["avro", "parquet"] = "avro"
    quality: str | None = None


@dataclass(frozen=True, slots=True)
class SealingSpec:
    """How a job seals its own audit: segments of `size` records, of fewer once one has waited for `age_us`.

    `key`: the file with the private key, or `${NAME}` of a variable, read where it is sealed; None: unsigned. The key
    itself is no part of a job.
    """

    key: str | None
    size: int
    age_us: int


@dataclass(frozen=True, slots=True)
class Job:
    """A whole job spec, resolved: absolute URIs, all defaults filled in. `explain`: None for scores without reasons;
    `privacy`: None where records are in plain; `sealing`: None where the job does not seal its audit itself; `labels`:
    None where no quality is measured; `fairness`: None where nothing is compared between groups of people."""

    name: str
    events: EventsSpec
    features: FeaturesSpec
    model: ModelSpec
    drift: DriftSpec
    sinks: SinksSpec
    explain: ExplainSpec | None = None
    privacy: PrivacySpec | None = None
    sealing: SealingSpec | None = None
    labels: LabelsSpec | None = None
    fairness: FairnessSpec | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a job: its id, who started it, and the resolved spec as JSON text that may be shown.

    `run` is None in a template, which is built once and started many times: each start makes an id of its own.
    """

    run: str | None = None
    by: str = ""
    spec: str = "{}"


UNNAMED = Start()
"""An unknown start, which makes its own id."""
