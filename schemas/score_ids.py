"""What identifies a score: the event, the version, the role, and the definitions of the version's windowed features.

Two jobs over the same events with different definitions of a feature give different ids; a retry, a replay and another
runner give the same ones. docs/records.md says how to compute them.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from schemas.job import DerivedSpec, FeatureSpec, FeaturesSpec, LookupSpec

Answered = Mapping[str, str | None]
"""The version that answered an event, by lookup, of tables in a store; None where no version was in force."""


def definitions_text(features: FeaturesSpec, names: Iterable[str], answered: Answered | None = None) -> str:
    """The definitions of those of the names that are windowed features or expressions, in order, as canonical JSON.

    Each has the keys that its spec states, `size`, `every` and `half_life` in whole microseconds, expressions in their
    one text; a `size` that is `all` stays so.
    `reads`, where there are any, has those of the other features that these name, by name; `events_where`, where a
    windowed feature is among all these, the condition of the job's events; `lookups`, where any of the names or of all
    these reads a table, each such table with its version and the columns that are read. The version of a table in a
    store is the one that answered the event; without `answered` there is none of it.

    >>> mean = FeatureSpec("mean_delay", "origin", "dep_delay", "mean", size_us=3_600_000_000, every_us=300_000_000)
    >>> definitions_text(FeaturesSpec(("distance",), (mean,), 0, 16, 1000), ["distance", "mean_delay"])[:73]
    '{"features":[{"aggregate":"mean","column":"dep_delay","every":300000000,"'
    """
    by_name, names = _by_name(features), list(names)
    chosen = [name for name in names if name in by_name]
    needed = needed_for(features, names)
    others = sorted(needed & set(by_name) - set(chosen))
    document: dict[str, Any] = {
        "features": [_stated(by_name[name]) for name in chosen],
        "max_values_per_tile": features.max_tile_values,
    }
    if others:
        document["reads"] = [_stated(by_name[name]) for name in others]
    if features.events_where and any(isinstance(by_name[name], FeatureSpec) for name in (*chosen, *others)):
        document["events_where"] = features.events_where
    read = [lookup for lookup in features.lookups if needed & set(lookup.kinds)]
    if tables := [_stated_lookup(lookup, needed, answered or {}) for lookup in read]:
        document["lookups"] = tables
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def tables_read(
    features: FeaturesSpec, names: Iterable[str], answered: Answered | None = None
) -> dict[str, str]:
    """The version of each table that the names read, themselves or through features, by the name of the lookup; those
    that no version in force answered are left out."""
    needed = needed_for(features, names)
    versions = {each.name: each.version if each.stored is None else (answered or {}).get(each.name)
                for each in features.lookups if needed & set(each.kinds)}  # fmt: skip
    return {name: version for name, version in versions.items() if version is not None}


def stored_read(features: FeaturesSpec, names: Iterable[str]) -> tuple[str, ...]:
    """The lookups of tables in a store that the names read, themselves or through features."""
    needed = needed_for(features, names) if any(each.stored for each in features.lookups) else set()
    return tuple(each.name for each in features.lookups if each.stored is not None and needed & set(each.kinds))


def _stated_lookup(lookup: LookupSpec, needed: set[str], answered: Answered) -> dict[str, Any]:
    """A lookup as definitions state it: what its values of an event depend on."""
    columns = {column: kind for column, kind in lookup.columns if f"{lookup.name}.{column}" in needed}
    stated: dict[str, Any] = {"name": lookup.name, "on": lookup.on, "columns": columns}
    if lookup.stored is not None:
        version = {"version": answered[lookup.name]} if lookup.name in answered else {}
        return {**stated, "table": lookup.stored.table, **version}
    stated |= {"version": lookup.version, "key": lookup.key}
    records = lookup.files
    if lookup.valid_from is not None:
        times = {"time_format": records.time_format, "time_unit": records.time_unit, "time_zone": records.time_zone}
        stated["valid_from"] = {"column": lookup.valid_from, **times, "time_ambiguous": records.time_ambiguous}
    return stated


def needed_for(features: FeaturesSpec, names: Iterable[str]) -> set[str]:
    """The names, and those of all features and columns of tables that must be known for them."""
    reads = {name: feature.reads for name, feature in _by_name(features).items()}
    found, left = set[str](), list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += reads.get(name, ())
    return found


def definitions_digest(text: str) -> str:
    """First 16 hex digits of the sha256 of a `definitions_text`.

    >>> definitions_digest('{"features":[],"max_values_per_tile":1000}')
    'f968b1d4b0e1e595'
    """
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def id_tail(digest: str, role: str, definitions: str | None) -> str:
    """What follows the event's id in the text that is hashed; receipts of schema 1 have no `definitions` (None).

    >>> id_tail("5edaaee0dfe6", "champion", "f7c3bc1d808e0473"), id_tail("5edaaee0dfe6", "champion", None)
    ('|5edaaee0dfe6|champion|f7c3bc1d808e0473', '|5edaaee0dfe6|champion')
    """
    return f"|{digest}|{role}" if definitions is None else f"|{digest}|{role}|{definitions}"


def score_id(event_id: str, digest: str, role: str, definitions: str | None) -> str:
    """First 32 hex digits of the sha256 of `event_id|digest|role|definitions`.

    `definitions` as a receipt has it: None in those of schema 1, whose ids are of `event_id|digest|role`. For a record
    that was scored again `role` is the one on the event's own receipt.

    >>> score_id("JFK-B6-725", "5edaaee0dfe6", "champion", "f7c3bc1d808e0473")
    '53fac55b7b72e9b7a2cdbd520368fa85'
    >>> score_id("JFK-B6-725", "5edaaee0dfe6", "champion", None)
    '7677559f8d402cfa11b8e5f1eb97c5d3'
    """
    return hashlib.sha256(f"{event_id}{id_tail(digest, role, definitions)}".encode()).hexdigest()[:32]


def _by_name(features: FeaturesSpec) -> dict[str, FeatureSpec | DerivedSpec]:
    windowed = {feature.name: feature for feature in features.windowed}
    return {**windowed, **{feature.name: feature for feature in features.derived}}


def _stated(feature: FeatureSpec | DerivedSpec) -> dict[str, Any]:
    if isinstance(feature, DerivedSpec):
        return {"name": feature.name, "expression": feature.expression}
    every_key = {
        "name": feature.name,
        "key": feature.key,
        "column": feature.column,
        "aggregate": feature.aggregate,
        "size": "all" if feature.size_us is None else feature.size_us,
        "every": feature.every_us,
        "q": feature.q,
        "where": feature.where,
        "half_life": feature.half_life_us,
    }
    return {key: value for key, value in every_key.items() if value is not None}
