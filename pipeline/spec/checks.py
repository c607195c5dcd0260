"""Rules of a job spec that a JSON Schema cannot express: durations, times, contradictory features."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from models.plug_ins import PlugInBroken
from pipeline.spec.columns import columns_of_key, key_of, kind_errors
from pipeline.spec.expansion import section_of
from pipeline.spec.expressions import (
    derived_of,
    expression_errors,
    feature_names,
    mappings,
    named_columns,
    stated,
)
from pipeline.spec.lookups import columns_of_tables, key_errors, lookup_errors, lookups_in
from pipeline.spec.privacy import privacy_errors
from pipeline.spec.sections.fairness import fairness_errors, grouping_errors, protected_columns
from pipeline.spec.sections.retraining import retraining_errors
from pipeline.spec.tables import tables_in
from schemas.batches import ROW_HASH
from schemas.columns import VALUES
from schemas.expectations import QUOTE, did_you_mean
from schemas.formats.times.time_formats import DATE, DIRECTIVES, EPOCH, fault_of
from schemas.formats.times.time_zones import is_zone, meant_zone
from schemas.times import MalformedTime, format_duration_us, parse_duration_us, parse_time_us
from schemas.validation import MISSING, SpecError
from transforms.features.added_aggregates import aggregate_of
from transforms.features.aggregates import AGGREGATES

Sound = Callable[[str], bool]

# Durations of a spec, and whether each may be zero.
_DURATIONS = (
    ("events", "max_out_of_orderness", True),
    ("windows", "allowed_lateness", True),
    ("model", "poll", False),
    ("model", "admission_timeout", False),
    ("drift", "allowed_lateness", True),
    ("labels", "horizon", True),
)
_FREE_NAME = "a name that no event column and no other feature has"
_MAX_TILES = 100_000
_LEAST_WINDOW_US = 1_000
_OF_TEXTS = tuple(name for name, each in AGGREGATES.items() if each.of_texts)
_COLUMNLESS = ", ".join(name for name, each in AGGREGATES.items() if each.columnless)
_HAS_Q = ", ".join(name for name, each in AGGREGATES.items() if each.has_q)
_DECAY = ", ".join(name for name, each in AGGREGATES.items() if each.has_half_life)
_OF_ALL = ", ".join(name for name, each in AGGREGATES.items() if each.of_all)
_MOST_HALF_LIVES = 1_000
ALL = "all"
"""The size of windows that begin with the first event."""


def needed_columns(document: Mapping[str, Any], sound: Sound = lambda _: True) -> dict[str, str]:
    """Event columns that a valid document uses, each with the path of its first use; only of parts that are sound."""
    given = columns_of_tables(document, sound)
    needed = {name: spec_path for name, spec_path in used_columns(document, sound).items() if name not in given}
    for spec_path, lookup in lookups_in(document, sound):
        for name in columns_of_key(lookup["on"]):
            needed.setdefault(name, f"{spec_path}.on")
    return needed


def used_columns(document: Mapping[str, Any], sound: Sound = lambda _: True) -> dict[str, str]:
    """As `needed_columns`, with the columns of tables that features, keys, expressions, segments and fairness name,
    and without those that lookups are joined on."""
    needed: dict[str, str] = {}
    derived, windowed = feature_names(document, sound)
    for index, feature in enumerate(_features(document)):
        spec_path = f"features[{index}]"
        if isinstance(feature, str) and sound(spec_path):
            needed.setdefault(feature, spec_path)
            continue
        if isinstance(feature, Mapping) and "key" in feature and sound(f"{spec_path}.key"):
            for name in columns_of_key(feature["key"]):
                needed.setdefault(name, f"{spec_path}.key")
        if isinstance(feature, Mapping) and "column" in feature and sound(f"{spec_path}.column"):
            needed.setdefault(feature["column"], f"{spec_path}.column")
    for one in stated(document, sound):
        for name in named_columns(one, derived | windowed):
            needed.setdefault(name, one.path)
    segments = section_of(document, "drift").get("segments", ())
    for index, segment in enumerate(segments if isinstance(segments, list) else ()):
        if sound(f"drift.segments[{index}]"):
            needed.setdefault(segment, f"drift.segments[{index}]")
    for spec_path, column in protected_columns(document, sound):
        needed.setdefault(column, spec_path)
    return {name: spec_path for name, spec_path in needed.items() if name not in derived}


def identity_columns(document: Mapping[str, Any], sound: Sound = lambda _: True) -> dict[str, str]:
    """The columns with an event's id, time and subject, each with its path in a valid document."""
    events = document["events"]
    keys = [key for key in ("event_id", "event_time", "subject") if key in events and sound(f"events.{key}")]
    return {events[key]: f"events.{key}" for key in keys if events[key] != ROW_HASH}


def spec_errors(document: Mapping[str, Any], sound: Sound = lambda _: True) -> Iterator[SpecError]:
    """What is wrong with the sound parts of a document, as far as it can be told without the types of columns."""
    for section, key, zero in _DURATIONS:
        spec_path, text = f"{section}.{key}", section_of(document, section).get(key)
        if text is not None and sound(spec_path):
            yield from _duration_errors(spec_path, text, 0 if zero else 1)
    if sound("events.time_range"):
        yield from _time_range_errors(section_of(document, "events").get("time_range", ()))
    records = [(section, section_of(document, section)) for section in ("events", "labels")]
    for section, form in (*records, *tables_in(document)):
        yield from time_form_errors(section, form, sound)
        if sound(f"{section}.csv"):
            yield from _csv_errors(section_of(form, "csv"), f"{section}.csv")
    if sound("events.columns"):
        yield from kind_errors(section_of(section_of(document, "events"), "columns"))
    window = section_of(document, "drift").get("window")
    if window is not None and sound("drift.window"):
        yield from _window_errors(window)
    yield from retraining_errors(document, sound)
    needed = needed_columns(document, sound)
    yield from lookup_errors(document, needed, sound)
    yield from _feature_errors(_features(document), {*needed, *columns_of_tables(document, sound)}, sound)
    yield from expression_errors(document, sound)
    yield from fairness_errors(document, sound)
    if section_of(document, "privacy"):
        identity = identity_columns(document, sound) if section_of(document, "events") else {}
        yield from privacy_errors(document, {*needed, *identity}, sound)


def column_errors(
    document: Mapping[str, Any], columns: Mapping[str, str], sound: Sound = lambda _: True, typed: bool = True
) -> Iterator[SpecError]:
    """What is wrong with the uses of columns whose types are `columns`, those of tables among them where these are
    known; without `typed` they are not those of the input."""
    yield from key_errors(document, columns, sound)
    for name, spec_path in needed_columns(document, sound).items():
        if name not in columns:
            hint = did_you_mean(name, columns, QUOTE)
            why = "events.columns is there, so no other column is read off the input: state this one too, or none"
            yield SpecError(spec_path, name, f"one of the event columns {', '.join(sorted(columns))} ({why}){hint}")
    if any(expression_errors(document, sound)):  # they are told already, and nothing can be computed
        yield from _grouping_errors(document, columns, sound)
        return
    computed = derived_of(document, columns, sound, typed)
    yield from computed.errors
    yield from _grouping_errors(document, computed.kinds, sound)
    if typed:
        yield from grouping_errors(document, computed.kinds, sound)
    allowed = ", ".join(_OF_TEXTS)
    for spec_path, feature in mappings(document, sound):
        if feature["name"] in columns:
            yield SpecError(f"{spec_path}.name", feature["name"], _FREE_NAME)
        column = feature.get("column", "")
        if computed.kinds.get(column) == "string" and not aggregate_of(feature["aggregate"]).of_texts:
            said = f"{allowed} (the column {column} is text)"
            yield SpecError(f"{spec_path}.aggregate", feature["aggregate"], said)


def _grouping_errors(document: Mapping[str, Any], columns: Mapping[str, str], sound: Sound) -> Iterator[SpecError]:
    """Vectors and times are read as they are: nothing is grouped by them, or aggregated."""
    for spec_path, feature in mappings(document, sound):
        for name in columns_of_key(feature.get("key", ())):
            yield from _of_values(f"{spec_path}.key", name, columns)
        yield from _of_values(f"{spec_path}.column", feature.get("column"), columns)
    segments = section_of(document, "drift").get("segments", ())
    for index, segment in enumerate(segments if isinstance(segments, list) else ()):
        yield from _of_values(f"drift.segments[{index}]", segment, columns)
    for spec_path, column in protected_columns(document, sound):
        yield from _of_values(spec_path, column, columns)


def _of_values(spec_path: str, name: Any, columns: Mapping[str, str]) -> Iterator[SpecError]:
    kind = columns.get(name) if isinstance(name, str) else None
    if kind is not None and kind not in VALUES:
        yield SpecError(spec_path, name, f"a column of numbers, booleans or texts ({name} is a {kind})")


def _features(document: Mapping[str, Any]) -> list[Any]:
    features = document.get("features")
    return features if isinstance(features, list) else []


def _window_errors(text: str) -> Iterator[SpecError]:
    """Windows of drift are Beam's own, which begin and end on milliseconds."""
    errors = list(_duration_errors("drift.window", text, 1))
    yield from errors
    if not errors and parse_duration_us(text) % 1_000:
        yield SpecError("drift.window", text, "a duration in whole milliseconds")


def _duration_errors(spec_path: str, text: str, least_us: int) -> Iterator[SpecError]:
    try:
        duration_us = parse_duration_us(text)
    except MalformedTime as error:
        yield SpecError(spec_path, text, error.allowed)
        return
    if duration_us < least_us == _LEAST_WINDOW_US:
        least = format_duration_us(least_us)
        yield SpecError(spec_path, text, f"a duration of at least {least}, what runners' timers know")
    elif duration_us < least_us:
        yield SpecError(spec_path, text, "a duration greater than zero")


def _time_range_errors(texts: Any) -> Iterator[SpecError]:
    times_us = []
    for index, text in enumerate(texts):
        try:
            times_us.append(parse_time_us(text))
        except MalformedTime:
            yield SpecError(f"events.time_range[{index}]", text, "an RFC 3339 time")
    if len(times_us) == 2 and times_us[0] >= times_us[1]:
        yield SpecError("events.time_range", list(texts), "a first time before the second")


def time_form_errors(section: str, stated: Mapping[str, Any], sound: Sound = lambda _: True) -> Iterator[SpecError]:
    """What is wrong with the form of times, and the zone, that a section with records states."""
    form, zone = stated.get("time_format"), stated.get("time_zone")
    if form not in (None, EPOCH) and sound(f"{section}.time_format") and (why := fault_of(form)):
        allowed = f"{DATE}, {EPOCH}, or a form with year, month and day in the directives {DIRECTIVES} ({why})"
        yield SpecError(f"{section}.time_format", form, allowed)
    if zone is not None and sound(f"{section}.time_zone") and not is_zone(zone):
        allowed = f"the name of a time zone in IANA's list, such as Europe/Berlin{meant_zone(zone)}"
        yield SpecError(f"{section}.time_zone", zone, allowed)


def _csv_errors(stated: Mapping[str, Any], spec_path: str) -> Iterator[SpecError]:
    delimiter, quote = stated.get("delimiter"), stated.get("quote")
    if delimiter is not None and not (delimiter.isascii() and (delimiter.isprintable() or delimiter == "\t")):
        yield SpecError(f"{spec_path}.delimiter", delimiter, "one ASCII character, such as ';' or a tab")
    if quote and (quote == delimiter or not (quote.isascii() and quote.isprintable())):
        yield SpecError(f"{spec_path}.quote", quote, "one ASCII character that is not the delimiter")
    encoding = stated.get("encoding")
    if encoding is not None and not _is_encoding(encoding):
        yield SpecError(f"{spec_path}.encoding", encoding, "the name of an encoding, such as utf-8, cp1252 or latin-1")


def _is_encoding(name: str) -> bool:
    try:
        return isinstance("a".encode(name), bytes)
    except (LookupError, UnicodeError, ValueError):
        return False


def _feature_errors(features: list[Any], taken: set[str], sound: Sound) -> Iterator[SpecError]:
    plain: set[str] = set()
    whole = []
    for index, feature in enumerate(features):
        spec_path = f"features[{index}]"
        if not sound(spec_path):
            continue
        if isinstance(feature, str):
            if feature in plain:
                yield SpecError(spec_path, feature, "each event column once")
            plain.add(feature)
            continue
        if feature["name"] in taken:
            yield SpecError(f"{spec_path}.name", feature["name"], _FREE_NAME)
        taken.add(feature["name"])
        if "expression" in feature:
            continue
        errors = list(_windowed_errors(feature, spec_path))
        yield from errors
        if not any(error.path.endswith((".size", ".every")) for error in errors):
            whole.append(feature)
    yield from _tile_errors(whole)


def _windowed_errors(feature: Mapping[str, Any], spec_path: str) -> Iterator[SpecError]:
    try:
        aggregate = aggregate_of(feature["aggregate"], f"{spec_path}.aggregate")
    except PlugInBroken as broken:
        yield broken
        return
    if feature.get("column") is None and not aggregate.columnless:
        yield SpecError(f"{spec_path}.column", MISSING, f"a column; without one only {_COLUMNLESS}")
    if aggregate.has_q and "q" not in feature:
        yield SpecError(f"{spec_path}.q", MISSING, "the quantile wanted, a number between 0 and 1")
    if not aggregate.has_q and "q" in feature:
        yield SpecError(f"{spec_path}.q", feature["q"], f"no q: only {_HAS_Q} has one")
    if not aggregate.has_half_life and "half_life" in feature:
        yield SpecError(f"{spec_path}.half_life", feature["half_life"], f"no half_life: only {_DECAY} have one")
    if aggregate.has_half_life and "half_life" not in feature:
        yield SpecError(f"{spec_path}.half_life", MISSING, "the time in which a value's weight halves, such as 7d")
    if feature["size"] == ALL and not aggregate.of_all:
        yield SpecError(f"{spec_path}.size", ALL, f"a duration; of all that was before there are only {_OF_ALL}")
    durations = [key for key in ("size", "every", "half_life") if feature.get(key, ALL) != ALL]
    errors = [e for key in durations for e in _duration_errors(f"{spec_path}.{key}", feature[key], _LEAST_WINDOW_US)]
    yield from errors
    if aggregate.has_half_life and len(durations) == 3 and not errors:
        yield from _decay_errors(feature, spec_path)


def _decay_errors(feature: Mapping[str, Any], spec_path: str) -> Iterator[SpecError]:
    size_us, half_life_us = (parse_duration_us(feature[key]) for key in ("size", "half_life"))
    if size_us > _MOST_HALF_LIVES * half_life_us:
        allowed = f"a size of at most {_MOST_HALF_LIVES:,} half-lives: what is older has no weight left"
        yield SpecError(f"{spec_path}.size", feature["size"], allowed)


def _tile_errors(windowed: list[Mapping[str, Any]]) -> Iterator[SpecError]:
    """Refuses windows whose common tile is so small that a key would need more than `_MAX_TILES` of them."""
    for key in dict.fromkeys(key_of(feature["key"]) for feature in windowed):
        own = [feature for feature in windowed if key_of(feature["key"]) == key]
        steps = [parse_duration_us(feature["every"]) for feature in own]
        sizes = [parse_duration_us(feature["size"]) for feature in own if feature["size"] != ALL] or steps
        tile_us = math.gcd(*sizes, *steps)
        if max(sizes) // tile_us > _MAX_TILES:
            yield SpecError(
                f"features of key {key if isinstance(key, str) else list(key)}",
                f"{max(sizes) // tile_us} tiles of {format_duration_us(tile_us)}",
                f"at most {_MAX_TILES} tiles for each key; give sizes and steps a larger common divisor",
            )
