"""The job spec: from a document to a frozen `Job`, every error with its path, its value and what is allowed."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from models.admission import DEFAULT_MAX_BYTES, DEFAULT_TIMEOUT_S
from pipeline.spec_checks import column_errors, spec_errors
from schemas.job import (
    ColumnType,
    DriftSpec,
    EventsSpec,
    FeatureSpec,
    FeaturesSpec,
    Job,
    ModelSpec,
    SinksSpec,
)
from schemas.problems import Problems
from schemas.times import format_duration_us, format_time_us, parse_duration_us, parse_time_us
from schemas.validation import all_errors

DEFAULT_POLL = "10s"
DEFAULT_ADMISSION_TIMEOUT = f"{DEFAULT_TIMEOUT_S:.0f}s"
_DEFAULT_TIME_RANGE = ("1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z")
_DEFAULT_LATENESS = "2h"
_DEFAULT_SHARDS = 8
_DEFAULT_TILE_VALUES = 16_384
# PSI above 0.2 is the customary line for a shift worth acting on (Siddiqi 2006); KS 0.1 is its usual companion.
_DEFAULT_PSI, _DEFAULT_KS = 0.2, 0.1
# The spec travels in the graph, and options of services name files of the machine that starts the job.
_OPTIONS = re.compile(r"^((?:kafka|pubsub)://[^?]*)\?.*")


def parse_job(document: Mapping[str, Any], columns: Mapping[str, str]) -> Job:
    """The job of a document that `validate(document, "job")` accepts, with the types of its event columns.

    Raises:
        SpecError: what a schema cannot say is wrong: times, unknown columns, features that contradict themselves.
    """
    problems = Problems()
    problems.add(spec_errors(document))
    problems.add(column_errors(document, columns))
    problems.check()
    events, model = document["events"], document["model"]
    windows, drift, sinks = (document.get(section) or {} for section in ("windows", "drift", "sinks"))
    return Job(
        name=document["job"],
        events=_events(events, columns),
        features=_features(document["features"], windows),
        model=model_spec(model),
        drift=DriftSpec(
            window_us=_duration(drift, "window", "1d"),
            allowed_lateness_us=_duration(drift, "allowed_lateness", _DEFAULT_LATENESS),
            segments=tuple(drift.get("segments", ())),
            psi_threshold=float(drift.get("psi", _DEFAULT_PSI)),
            ks_threshold=float(drift.get("ks", _DEFAULT_KS)),
        ),
        sinks=SinksSpec(
            scores=sinks.get("scores"),
            audit=sinks.get("audit"),
            drift=sinks.get("drift"),
            dead_letters=sinks.get("dead_letters"),
            format=sinks.get("format", "avro"),
        ),
    )


def model_spec(model: Mapping[str, Any]) -> ModelSpec:
    """The `model` section of a valid document."""
    return ModelSpec(
        name=model["name"],
        store=model["store"],
        poll_us=_duration(model, "poll", DEFAULT_POLL),
        allow_pickle=model.get("allow_pickle", False),
        max_bundle_bytes=model.get("max_bytes", DEFAULT_MAX_BYTES),
        trusted_key=model.get("trusted_key"),
        admission_timeout_us=_duration(model, "admission_timeout", DEFAULT_ADMISSION_TIMEOUT),
    )


def _duration(section: Mapping[str, Any], key: str, default: str) -> int:
    return parse_duration_us(section.get(key, default))


def _events(events: Mapping[str, Any], columns: Mapping[str, str]) -> EventsSpec:
    first_us, last_us = (parse_time_us(text) for text in events.get("time_range", _DEFAULT_TIME_RANGE))
    return EventsSpec(
        uri=_OPTIONS.sub(r"\1", events["uri"]),
        format=events["format"],
        event_id=events["event_id"],
        event_time=events["event_time"],
        subject=events.get("subject"),
        max_out_of_orderness_us=_duration(events, "max_out_of_orderness", "0s"),
        columns=tuple((name, cast(ColumnType, kind)) for name, kind in columns.items()),
        time_range_us=(first_us, last_us),
        time_unit=events.get("time_unit", "us"),
    )


def _features(features: Sequence[Any], windows: Mapping[str, Any]) -> FeaturesSpec:
    return FeaturesSpec(
        plain=tuple(feature for feature in features if isinstance(feature, str)),
        windowed=tuple(_windowed(feature) for feature in features if not isinstance(feature, str)),
        allowed_lateness_us=_duration(windows, "allowed_lateness", _DEFAULT_LATENESS),
        shards=windows.get("shards", _DEFAULT_SHARDS),
        max_tile_values=windows.get("max_values_per_tile", _DEFAULT_TILE_VALUES),
    )


def _windowed(feature: Mapping[str, Any]) -> FeatureSpec:
    size_us, every_us = (parse_duration_us(feature[key]) for key in ("size", "every"))
    return FeatureSpec(
        feature["name"],
        feature["key"],
        feature.get("column"),
        feature["aggregate"],
        size_us,
        every_us,
        feature.get("q"),
    )


def job_document(document: Mapping[str, Any], job: Job) -> dict[str, Any]:
    """The document with everything that was filled in, fit to run the same job again."""
    resolved = dict(document)
    resolved["events"] = {
        **document["events"],
        "max_out_of_orderness": format_duration_us(job.events.max_out_of_orderness_us),
        "time_unit": job.events.time_unit,
        "time_range": [format_time_us(time_us) for time_us in job.events.time_range_us],
        "columns": dict(job.events.columns),
    }
    resolved["windows"] = {
        "allowed_lateness": format_duration_us(job.features.allowed_lateness_us),
        "shards": job.features.shards,
        "max_values_per_tile": job.features.max_tile_values,
    }
    resolved["model"] = {**document["model"], "store": job.model.store, "poll": format_duration_us(job.model.poll_us)}
    return resolved


def checked(document: dict[str, Any]) -> dict[str, Any]:
    """The document itself, once it satisfies the JSON Schema. Raises `SpecError` with all that is wrong."""
    problems = Problems()
    problems.add(all_errors(document, "job"))
    problems.check()
    return document
