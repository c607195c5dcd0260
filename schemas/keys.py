"""The keys of a document, from its JSON Schema: the source of docs/job.md and of the defaults."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from schemas.validation import schema_of


class DocumentKey(NamedTuple):
    """One key of a document.

    `path`: such as `events.uri`, `features[].size`, `events.columns.NAME`; `schema`: its own, `$ref` resolved; `kind`:
    the name in `$defs` of what it refers to, empty where it does not; `required`: where its section is there.
    """

    path: str
    schema: Mapping[str, Any]
    kind: str
    required: bool


def keys_of(schema_name: str) -> Iterator[DocumentKey]:
    """Every key of `schemas/json/<schema_name>.schema.json` in its order, a section before what is in it.

    Raises:
        FileNotFoundError: no schema has this name.
    """
    root = schema_of(schema_name)
    return _below("", root, root.get("$defs", {}))


def _below(path: str, schema: Mapping[str, Any], kinds: Mapping[str, Any]) -> Iterator[DocumentKey]:
    for name, stated in schema.get("properties", {}).items():
        key_path = f"{path}.{name}" if path else name
        yield from _key(key_path, stated, name in schema.get("required", ()), kinds)
    others, items = schema.get("additionalProperties"), schema.get("items")
    if isinstance(others, Mapping):
        yield from _key(f"{path}.NAME", others, False, kinds)
    if isinstance(items, Mapping):
        seen = set[str]()
        for branch in items.get("anyOf", (items,)):
            for key in _below(f"{path}[]", _resolved(branch, kinds)[0], kinds):
                if key.path not in seen:
                    yield key
                seen.add(key.path)


def _key(path: str, stated: Mapping[str, Any], required: bool, kinds: Mapping[str, Any]) -> Iterator[DocumentKey]:
    schema, kind = _resolved(stated, kinds)
    yield DocumentKey(path, schema, kind, required)
    yield from _below(path, schema, kinds)


def _resolved(stated: Mapping[str, Any], kinds: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """The schema merged with the one that it refers to, and the name of that; its own keys take precedence."""
    kind = str(stated.get("$ref", "")).removeprefix("#/$defs/")
    return {**kinds.get(kind, {}), **stated}, kind


@cache
def defaults_of(schema_name: str) -> Mapping[str, Any]:
    """The default of each key that has one, by its path. Raises FileNotFoundError: no schema has this name."""
    return {key.path: key.schema["default"] for key in keys_of(schema_name) if "default" in key.schema}
