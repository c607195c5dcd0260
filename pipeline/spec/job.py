"""The job spec: from a document to a frozen `Job`; every error has its path, its value and what is allowed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.spec.checks import ALL, column_errors, spec_errors
from pipeline.spec.columns import key_of, texts_of, with_texts
from pipeline.spec.expressions import condition_of, derived_of, features_read
from pipeline.spec.privacy import privacy_of
from pipeline.spec.sections.fairness import fairness_of
from pipeline.spec.sinks import uris_of
from schemas.job import (
    CsvSpec,
    DerivedSpec,
    DriftSpec,
    EventsSpec,
    ExplainSpec,
    FeatureSpec,
    FeaturesSpec,
    Job,
    LookupSpec,
    ModelSpec,
    SealingSpec,
    SinksSpec,
)
from schemas.keys import defaults_of
from schemas.problems import Problems
from schemas.times import format_duration_us, format_time_us, parse_duration_us, parse_time_us

_DEFAULTS = defaults_of("job")
# The spec is part of the graph, and options of services name files of the machine that starts the job.
_OPTIONS = re.compile(r"^((?:kafka|pubsub)://[^?]*)\?.*")


def parse_job(
    document: Mapping[str, Any], columns: Mapping[str, str], typed: bool = True, lookups: Sequence[LookupSpec] = ()
) -> Job:
    """The job of a document that `validate(document, "job")` accepts, with the types of its event columns.

    `typed`: those are the types of the input; else any would do, and the kinds of expressions are not checked.
    `lookups`: those of the document, whose tables are opened.

    Raises:
        SpecError: a rule that a schema cannot express is broken: times, unknown columns, contradictory features.
    """
    problems = Problems()
    problems.add(spec_errors(document))
    known = {**columns, **{name: kind for lookup in lookups for name, kind in lookup.kinds.items()}}
    problems.add(column_errors(document, known, typed=typed))
    problems.check()
    derived = derived_of(document, known, typed=typed).specs
    privacy = privacy_of(document)
    windows, sinks = (with_defaults(document, section) for section in ("windows", "sinks"))
    return Job(
        name=document["job"],
        events=replace(events_spec(document["events"], columns, derived, lookups), privacy=privacy),
        features=_features(document, windows, derived, lookups),
        model=model_spec(document["model"]),
        drift=drift_spec(document),
        sinks=SinksSpec(
            scores=sinks.get("scores"),
            audit=uris_of(sinks.get("audit")),
            drift=sinks.get("drift"),
            dead_letters=sinks.get("dead_letters"),
            format=sinks["format"],
            quality=sinks.get("quality"),
        ),
        explain=_explain(document) if "explain" in document else None,
        privacy=privacy,
        sealing=_sealing(document),
        fairness=fairness_of(document),
    )


def _sealing(document: Mapping[str, Any]) -> SealingSpec | None:
    audit = with_defaults(document, "audit")
    defaults = {key: audit[f"seal.{key}"] for key in ("size", "age", "in_job")}
    seal = defaults | audit["seal"]
    if not seal["in_job"]:
        return None
    return SealingSpec(audit.get("key"), seal["size"], parse_duration_us(seal["age"]))


def _explain(document: Mapping[str, Any]) -> ExplainSpec:
    stated = with_defaults(document, "explain")
    when = stated["when"]
    return ExplainSpec(
        decisions=tuple(when) if isinstance(when, list) else None,
        sample=1.0 if when == "all" else float(stated["sample"]),
        top=stated["top"],
        budget=float(stated["budget"]),
    )


def model_spec(section: Mapping[str, Any]) -> ModelSpec:
    """The `model` section of a valid document."""
    model = with_defaults({"model": section}, "model")
    return ModelSpec(
        name=model["name"],
        store=model["store"],
        poll_us=parse_duration_us(model["poll"]),
        allow_pickle=model["allow_pickle"],
        max_bundle_bytes=model["max_bytes"],
        trusted_key=model.get("trusted_key"),
        trust=tuple(model.get("trust", ())),
        admission_timeout_us=parse_duration_us(model["admission_timeout"]),
    )


def drift_spec(document: Mapping[str, Any]) -> DriftSpec:
    """The `drift` section of a valid document."""
    drift = with_defaults(document, "drift")
    thresholds = with_defaults({"drift.thresholds": drift.get("thresholds")}, "drift.thresholds")
    return DriftSpec(
        window_us=parse_duration_us(drift["window"]),
        allowed_lateness_us=parse_duration_us(drift["allowed_lateness"]),
        segments=tuple(drift["segments"]),
        psi_threshold=float(thresholds.pop("psi", drift["psi"])),
        ks_threshold=float(thresholds.pop("ks", drift["ks"])),
        thresholds={name: float(value) for name, value in sorted(thresholds.items())},
    )


def with_defaults(document: Mapping[str, Any], section: str) -> dict[str, Any]:
    """A section of a valid document with the defaults of the keys that it does not state.

    >>> with_defaults({"windows": {"shards": 2}}, "windows")
    {'allowed_lateness': '2h', 'shards': 2, 'max_values_per_tile': 16384}
    """
    prefix = f"{section}."
    unstated = {path.removeprefix(prefix): value for path, value in _DEFAULTS.items() if path.startswith(prefix)}
    return unstated | (document.get(section) or {})


def events_spec(
    section: Mapping[str, Any],
    columns: Mapping[str, str],
    derived: Sequence[DerivedSpec] = (),
    lookups: Sequence[LookupSpec] = (),
) -> EventsSpec:
    """The `events` section of a valid document, or records that are read as events are, with their columns' types."""
    events = with_defaults({"events": section}, "events")
    first_us, last_us = (parse_time_us(text) for text in events["time_range"])
    return EventsSpec(
        uri=_OPTIONS.sub(r"\1", events["uri"]),
        format=events["format"],
        event_id=events["event_id"],
        event_time=events["event_time"],
        subject=events.get("subject"),
        max_out_of_orderness_us=parse_duration_us(events["max_out_of_orderness"]),
        columns=tuple(columns.items()),
        texts=texts_of(section.get("columns") or {}),
        time_range_us=(first_us, last_us),
        time_unit=events["time_unit"],
        csv=csv_spec(events.get("csv", {})),
        where=condition_of(events.get("where")),
        derived=tuple(each for each in derived if not each.late),
        time_format=events.get("time_format"),
        time_zone=events["time_zone"],
        time_ambiguous=events["time_ambiguous"],
        envelope=events.get("envelope"),
        lookups=tuple(lookups),
    )


def csv_spec(stated: Mapping[str, Any]) -> CsvSpec:
    """The form of CSV files that a valid document's `events.csv` states."""
    lists = {name: tuple(value) for name, value in stated.items() if isinstance(value, list)}
    return CsvSpec(**{**stated, **lists})


def _features(
    document: Mapping[str, Any],
    windows: Mapping[str, Any],
    derived: tuple[DerivedSpec, ...],
    lookups: Sequence[LookupSpec],
) -> FeaturesSpec:
    features, early = document["features"], {each.name for each in derived if not each.late}
    own = [each if isinstance(each, str) else each["name"] for each in features]
    others = early | {name for lookup in lookups for name in lookup.kinds}
    return FeaturesSpec(
        plain=tuple(name for name in own if name in early or name in features),
        windowed=tuple(_windowed(each, others) for each in features if not isinstance(each, str) and "key" in each),
        allowed_lateness_us=parse_duration_us(windows["allowed_lateness"]),
        shards=windows["shards"],
        max_tile_values=windows["max_values_per_tile"],
        derived=derived,
        events_where=condition_of(document["events"].get("where")),
        lookups=tuple(lookups),
    )


def _windowed(feature: Mapping[str, Any], others: set[str]) -> FeatureSpec:
    size_us = None if feature["size"] == ALL else parse_duration_us(feature["size"])
    return FeatureSpec(
        feature["name"],
        key_of(feature["key"]),
        feature.get("column"),
        feature["aggregate"],
        size_us,
        parse_duration_us(feature["every"]),
        feature.get("q"),
        where=condition_of(feature.get("where")),
        reads=features_read(feature, others),
        half_life_us=parse_duration_us(feature["half_life"]) if "half_life" in feature else None,
    )


def job_document(document: Mapping[str, Any], job: Job) -> dict[str, Any]:
    """The document with all defaults with_defaults in, which can run the same job again."""
    resolved = dict(document)
    resolved["events"] = {
        **document["events"],
        "max_out_of_orderness": format_duration_us(job.events.max_out_of_orderness_us),
        "time_unit": job.events.time_unit,
        "time_zone": job.events.time_zone,
        "time_ambiguous": job.events.time_ambiguous,
        "time_range": [format_time_us(time_us) for time_us in job.events.time_range_us],
        "columns": with_texts(dict(job.events.columns), dict(job.events.texts)),
    }
    resolved["windows"] = {
        "allowed_lateness": format_duration_us(job.features.allowed_lateness_us),
        "shards": job.features.shards,
        "max_values_per_tile": job.features.max_tile_values,
    }
    if job.events.lookups:
        stated = zip(document["lookups"], job.events.lookups, strict=True)
        resolved["lookups"] = [{**each, "columns": dict(lookup.columns)} for each, lookup in stated]
    resolved["model"] = {**document["model"], "store": job.model.store, "poll": format_duration_us(job.model.poll_us)}
    return resolved
