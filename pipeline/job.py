"""The job spec: from a document to a frozen `Job`, every error with its path, its value and what is allowed."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from models.admission import DEFAULT_MAX_BYTES, DEFAULT_TIMEOUT_S
from schemas.job import (
    AGGREGATES,
    ColumnType,
    DriftSpec,
    EventsSpec,
    FeatureSpec,
    FeaturesSpec,
    Job,
    ModelSpec,
    SinksSpec,
)
from schemas.times import MalformedTime, format_duration_us, format_time_us, parse_duration_us, parse_time_us
from schemas.validation import MISSING, SpecError, validate

DEFAULT_POLL = "10s"
DEFAULT_ADMISSION_TIMEOUT = f"{DEFAULT_TIMEOUT_S:.0f}s"
_DEFAULT_TIME_RANGE = ("1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z")
_DEFAULT_LATENESS = "2h"
_DEFAULT_SHARDS = 8
_DEFAULT_TILE_VALUES = 16_384
# PSI above 0.2 is the customary line for a shift worth acting on (Siddiqi 2006); KS 0.1 is its usual companion.
_DEFAULT_PSI, _DEFAULT_KS = 0.2, 0.1
_MAX_TILES = 100_000
_LEAST_WINDOW_US = 1_000
# The spec travels in the graph, and options of services name files of the machine that starts the job.
_OPTIONS = re.compile(r"^((?:kafka|pubsub)://[^?]*)\?.*")
_TEXT_AGGREGATES = frozenset({"count", "last", "distinct", "top"})


def needed_columns(document: Mapping[str, Any]) -> dict[str, str]:
    """Event columns that a valid document uses, each with the path of its first use."""
    needed: dict[str, str] = {}
    for index, feature in enumerate(document["features"]):
        place = f"features[{index}]"
        if isinstance(feature, str):
            needed.setdefault(feature, place)
            continue
        needed.setdefault(feature["key"], f"{place}.key")
        if "column" in feature:
            needed.setdefault(feature["column"], f"{place}.column")
    for index, segment in enumerate(document.get("drift", {}).get("segments", ())):
        needed.setdefault(segment, f"drift.segments[{index}]")
    return needed


def identity_columns(document: Mapping[str, Any]) -> dict[str, str]:
    """The columns with an event's id, time and subject, each with its path in a valid document."""
    events = document["events"]
    return {events[key]: f"events.{key}" for key in ("event_id", "event_time", "subject") if key in events}


def parse_job(document: Mapping[str, Any], columns: Mapping[str, str]) -> Job:
    """The job of a document that `validate(document, "job")` accepts, with the types of its event columns.

    Raises:
        SpecError: what a schema cannot say is wrong: times, unknown columns, features that contradict themselves.
    """
    for name, place in needed_columns(document).items():
        if name not in columns:
            raise SpecError(place, name, f"one of the event columns {', '.join(sorted(columns))}")
    events, model = document["events"], document["model"]
    windows, drift, sinks = (document.get(section) or {} for section in ("windows", "drift", "sinks"))
    return Job(
        name=document["job"],
        events=_events(events, columns),
        features=_features(document["features"], columns, windows),
        model=model_spec(model),
        drift=DriftSpec(
            window_us=_duration(drift, "window", "1d", "drift"),
            allowed_lateness_us=_duration(drift, "allowed_lateness", _DEFAULT_LATENESS, "drift", zero=True),
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
    """The `model` section of a valid document. Raises `SpecError` for a `poll` of no time."""
    return ModelSpec(
        name=model["name"],
        store=model["store"],
        poll_us=_duration(model, "poll", DEFAULT_POLL, "model"),
        allow_pickle=model.get("allow_pickle", False),
        max_bundle_bytes=model.get("max_bytes", DEFAULT_MAX_BYTES),
        trusted_key=model.get("trusted_key"),
        admission_timeout_us=_duration(model, "admission_timeout", DEFAULT_ADMISSION_TIMEOUT, "model"),
    )


def _duration(section: Mapping[str, Any], key: str, default: str, path: str, zero: bool = False) -> int:
    text = section.get(key, default)
    duration = parse_duration_us(text)
    if duration == 0 and not zero:
        raise SpecError(f"{path}.{key}", text, "a duration greater than zero")
    return duration


def _events(events: Mapping[str, Any], columns: Mapping[str, str]) -> EventsSpec:
    range_us = []
    for index, text in enumerate(events.get("time_range", _DEFAULT_TIME_RANGE)):
        try:
            range_us.append(parse_time_us(text))
        except MalformedTime:
            raise SpecError(f"events.time_range[{index}]", text, "an RFC 3339 time") from None
    if range_us[0] >= range_us[1]:
        raise SpecError("events.time_range", events["time_range"], "a first time before the second")
    return EventsSpec(
        uri=_OPTIONS.sub(r"\1", events["uri"]),
        format=events["format"],
        event_id=events["event_id"],
        event_time=events["event_time"],
        subject=events.get("subject"),
        max_out_of_orderness_us=_duration(events, "max_out_of_orderness", "0s", "events", zero=True),
        columns=tuple((name, cast(ColumnType, kind)) for name, kind in columns.items()),
        time_range_us=(range_us[0], range_us[1]),
        time_unit=events.get("time_unit", "us"),
    )


def _features(
    features: Sequence[Any], columns: Mapping[str, str], windows: Mapping[str, Any]
) -> FeaturesSpec:
    plain: list[str] = []
    windowed: list[FeatureSpec] = []
    taken = set(columns)
    for index, feature in enumerate(features):
        if isinstance(feature, str):
            if feature in plain:
                raise SpecError(f"features[{index}]", feature, "each event column once")
            plain.append(feature)
            continue
        name, place = feature["name"], f"features[{index}]"
        if name in taken:
            raise SpecError(f"{place}.name", name, "a name that no event column and no other feature has")
        taken.add(name)
        windowed.append(_windowed(feature, columns, place))
    spec = FeaturesSpec(
        plain=tuple(plain),
        windowed=tuple(windowed),
        allowed_lateness_us=_duration(windows, "allowed_lateness", _DEFAULT_LATENESS, "windows", zero=True),
        shards=windows.get("shards", _DEFAULT_SHARDS),
        max_tile_values=windows.get("max_values_per_tile", _DEFAULT_TILE_VALUES),
    )
    _check_tiles(spec)
    return spec


def _windowed(feature: Mapping[str, Any], columns: Mapping[str, str], place: str) -> FeatureSpec:
    aggregate, column = feature["aggregate"], feature.get("column")
    if column is None and aggregate != "count":
        raise SpecError(f"{place}.column", MISSING, "a column; only count goes without")
    if aggregate == "quantile" and "q" not in feature:
        raise SpecError(f"{place}.q", MISSING, "the quantile wanted, a number between 0 and 1")
    if aggregate != "quantile" and "q" in feature:
        raise SpecError(f"{place}.q", feature["q"], "nothing: only quantile has a q")
    if column is not None and columns[column] == "string" and aggregate not in _TEXT_AGGREGATES:
        allowed = ", ".join(name for name in AGGREGATES if name in _TEXT_AGGREGATES)
        raise SpecError(f"{place}.aggregate", aggregate, f"{allowed} (the column {column} is text)")
    size_us, every_us = (_window(feature, key, place) for key in ("size", "every"))
    return FeatureSpec(
        feature["name"], feature["key"], column, aggregate, size_us, every_us, feature.get("q")
    )


def _window(feature: Mapping[str, Any], key: str, place: str) -> int:
    duration = parse_duration_us(feature[key])
    if duration < _LEAST_WINDOW_US:
        least = format_duration_us(_LEAST_WINDOW_US)
        raise SpecError(f"{place}.{key}", feature[key], f"a duration of at least {least}, what runners' timers know")
    return duration


def _check_tiles(spec: FeaturesSpec) -> None:
    """Refuses windows whose common tile is so small that a key would need more than `_MAX_TILES` of them."""
    for key in spec.keys:
        own = [feature for feature in spec.windowed if feature.key == key]
        tile_us = math.gcd(*(value for feature in own for value in (feature.size_us, feature.every_us)))
        longest_us = max(feature.size_us for feature in own)
        if longest_us // tile_us > _MAX_TILES:
            raise SpecError(
                f"features of key {key}",
                f"{longest_us // tile_us} tiles of {format_duration_us(tile_us)}",
                f"at most {_MAX_TILES} tiles for each key; give sizes and steps a larger common divisor",
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
    """The document itself, once it satisfies the JSON Schema. Raises `SpecError`."""
    validate(document, "job")
    return document
