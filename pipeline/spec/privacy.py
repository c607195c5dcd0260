"""The privacy of a job spec: where keys lie, and what is hidden."""

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from pipeline.spec.columns import columns_of_key
from pipeline.spec.expansion import local_path, scheme_of, section_of
from pipeline.spec.expressions import mappings, read_or_none, stated
from pipeline.spec.lookups import lookups_in
from pipeline.spec.sections.fairness import hidden_protected_errors
from pipeline.spec.sinks import sink_uris
from schemas.expectations import QUOTE, did_you_mean
from schemas.expressions.nodes import names_in
from schemas.job import PrivacySpec
from schemas.keys import defaults_of
from schemas.validation import MISSING, SpecError

Sound = Callable[[str], bool]

_DEFAULTS = defaults_of("job")
_EVENT_ID = "event_id"
_IN_PLAIN = "drift statistics have its values in plain"
_WORD = re.compile(r"[A-Za-z_][\w.]*")
_SCHEMES = ("file", "s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl", "memory")


def privacy_of(document: Mapping[str, Any]) -> PrivacySpec | None:
    """The privacy of a valid document; None where it has none. `event_id` stands for the column with the events' ids.

    >>> privacy_of({"events": {"event_id": "loan"}, "privacy": {"keys": "/keys", "hide": ["event_id", "iban"]}})
    PrivacySpec(keys='/keys', hide=('loan', 'iban'), refuses_erased=False)
    """
    if "privacy" not in document:
        return None
    section, own = document["privacy"], document["events"]["event_id"]
    hidden = [own if column == _EVENT_ID else column for column in section.get("hide", ())]
    after = section.get("after_erasure", _DEFAULTS["privacy.after_erasure"])
    return PrivacySpec(section["keys"], tuple(dict.fromkeys(hidden)), after == "refuse")


def privacy_errors(
    document: Mapping[str, Any], columns: Collection[str], sound: Sound = lambda _: True
) -> Iterator[SpecError]:
    """What is wrong with the privacy of a document.

    Args:
        columns: the columns of events that the document uses.
    """
    section = section_of(document, "privacy")
    if not section:
        return
    if sound("events.subject") and "subject" not in section_of(document, "events"):
        wanted = "the column with the person that an event is about: privacy erases what is known of one subject"
        yield SpecError("events.subject", MISSING, wanted)
    if sound("privacy.keys") and isinstance(section.get("keys"), str):
        yield from _keys_errors(document, section["keys"])
    if sound("privacy.hide"):
        tables = _of_tables(document, sound)
        yield from _segment_errors(document, section.get("hide"), tables)
        yield from _hidden_errors(document, section.get("hide"), {*columns, *tables})
        secret = _secret(document, section.get("hide"), tables)
        yield from hidden_protected_errors(document, secret | _computed_of(document, secret), sound)


def hidden_columns(document: Mapping[str, Any], hidden: tuple[str, ...]) -> tuple[str, ...]:
    """The hidden columns, the subject, and the features whose value follows from one of them, of a valid document.

    >>> mean = {"name": "mean", "key": "iban", "column": "income", "aggregate": "mean", "size": "1h", "every": "1h"}
    >>> twice = {"name": "twice", "expression": "2 * mean"}
    >>> hidden_columns({"events": {"subject": "who"}, "features": [mean, twice, "age"]}, ("income", "iban"))
    ('income', 'iban', 'who', 'mean', 'twice')
    """
    subject = document["events"].get("subject")
    known = dict.fromkeys([*hidden, *([] if subject is None else [subject])])
    reads = _reads(document)
    while new := [name for name, read in reads.items() if name not in known and read & known.keys()]:
        known |= dict.fromkeys(new)
    return tuple(known)


def _reads(document: Mapping[str, Any]) -> dict[str, set[str]]:
    """What the value of each feature is computed of: a key only chooses events."""
    reads = {
        feature["name"]: {feature["column"]} if isinstance(feature.get("column"), str) else set[str]()
        for _, feature in mappings(document)
    }
    for one in stated(document):
        node = read_or_none(one.text)
        if one.feature is not None and node is not None and one.derives:
            reads[one.feature["name"]] |= {name.name for name in names_in(node)}
    return reads


def _keys_errors(document: Mapping[str, Any], keys: str) -> Iterator[SpecError]:
    if scheme_of(keys) not in _SCHEMES:
        allowed = "a path, file:///path, s3://bucket/path, gs://bucket/path or az://container/path"
        yield SpecError("privacy.keys", keys, allowed)
        return
    others: dict[str, Any] = {**sink_uris(document)}
    for section, key in (("model", "store"), ("events", "uri")):
        others[f"{section}.{key}"] = section_of(document, section).get(key)
    for spec_path, uri in others.items():
        if isinstance(uri, str) and _overlap(keys, uri):
            wanted = f"a folder or bucket apart from {spec_path}: whoever copies the one would copy the other"
            yield SpecError("privacy.keys", keys, wanted)
            return


def _overlap(one: str, other: str) -> bool:
    """Whether one is the other, or lies in it.

    >>> _overlap("out/keys", "./out/"), _overlap("s3://b/k", "s3://b/keys"), _overlap("file:///k", "/k/scores")
    (True, False, True)
    """
    first, second = (f"{_normal(uri).rstrip('/')}/" for uri in (one, other))
    return first.startswith(second) or second.startswith(first)


def _normal(uri: str) -> str:
    return os.path.abspath(local_path(uri)) if scheme_of(uri) == "file" else uri


def _of_tables(document: Mapping[str, Any], sound: Sound) -> dict[str, tuple[str, ...]]:
    """The columns that lookups give to events, each with the event columns by which it is looked up."""
    return {
        f"{lookup['name']}.{column}": tuple(columns_of_key(lookup["on"]))
        for _, lookup in lookups_in(document, sound)
        for column in lookup["columns"]
    }


def _segment_errors(
    document: Mapping[str, Any], hidden: Any, tables: Mapping[str, Sequence[str]]
) -> Iterator[SpecError]:
    """Segments that have values of the subject, are computed of a hidden column, or are looked up by one."""
    subject, segments = section_of(document, "events").get("subject"), section_of(document, "drift").get("segments")
    stated, secret = _stated(hidden), _secret(document, hidden, tables)
    computed = _computed_of(document, secret) | {column: of for column, of in secret.items() if column in tables}
    for index, column in enumerate(segments if isinstance(segments, list) else ()):
        if isinstance(column, str) and column in computed and column not in stated:
            wanted = f"a column that does not follow from {computed[column]}: {_IN_PLAIN}"
            yield SpecError(f"drift.segments[{index}]", column, wanted)
        elif isinstance(column, str) and column == subject and column not in stated:
            yield SpecError(f"drift.segments[{index}]", column, f"another column than that of the subject: {_IN_PLAIN}")


def _stated(hidden: Any) -> list[str]:
    return [column for column in hidden if isinstance(column, str)] if isinstance(hidden, list) else []


def _secret(document: Mapping[str, Any], hidden: Any, tables: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The subject and hidden columns, each with itself, and the columns that are looked up by one, with that one."""
    events, stated = section_of(document, "events"), _stated(hidden)
    own = events.get("event_id") if _EVENT_ID in stated else None
    secret = {column: column for column in (events.get("subject"), own, *stated) if isinstance(column, str)}
    return secret | {
        column: key for column, on in tables.items() if (key := next((each for each in on if each in stated), None))
    }


def _computed_of(document: Mapping[str, Any], secret: Mapping[str, str]) -> dict[str, str]:
    """The computed features that read one of these columns, or another such feature, each with the column."""
    features, found = document.get("features"), dict(secret)
    stated = [each for each in features if isinstance(each, Mapping)] if isinstance(features, list) else []
    words = {
        each["name"]: _WORD.findall(str(each["expression"]))
        for each in stated
        if isinstance(each.get("name"), str) and "expression" in each
    }
    for _ in words:  # no chain is longer
        for name, named in words.items():
            of = next((found[word] for word in named if word in found), None)
            found |= {} if of is None or name in found else {name: of}
    return {name: column for name, column in found.items() if name in words}


def _hidden_errors(document: Mapping[str, Any], hidden: Any, columns: Collection[str]) -> Iterator[SpecError]:
    events, segments = section_of(document, "events"), section_of(document, "drift").get("segments")
    segmented = segments if isinstance(segments, list) else ()
    for index, column in enumerate(hidden if isinstance(hidden, list) else ()):
        spec_path = f"privacy.hide[{index}]"
        if not isinstance(column, str):
            continue
        if column == events.get("event_time"):
            wanted = "another column than that of the event time, which every record has in plain"
            yield SpecError(spec_path, column, wanted)
        elif column in segmented:
            wanted = f"a column that drift.segments does not have: {_IN_PLAIN}"
            yield SpecError(spec_path, column, wanted)
        elif column not in columns and column != _EVENT_ID:
            hint = did_you_mean(column, columns, QUOTE)
            wanted = f"event_id, or a column that the job reads: {', '.join(sorted(columns))}{hint}"
            yield SpecError(spec_path, column, wanted)
