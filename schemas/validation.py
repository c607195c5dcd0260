"""Validation of JSON documents (job spec, manifest, release) against the schemas in `schemas/json`.

An error is one line that names the path, the offending value and what is allowed there. For manifests and releases the
first error is reported, for a job spec all. The keyword `allowed` of our schemas is that phrase, where enum, type and
limits do not express it well enough; `description` is for people who look up a key.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any, cast

from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError

from schemas.errors import HalflifeError
from schemas.expectations import QUOTE, did_you_mean, likely, wants, with_hint

_SHOWN_CHARACTERS = 80
_PATH_CHARACTERS = 400
_MOST_COMPARED = 50  # unknown keys that are compared with the known ones: more are never shown
_TYPE_NAMES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "null",
}


class Absent(str):
    """A note instead of a value that cannot be shown, such as `missing`; it is printed without quotes."""

    __slots__ = ()


MISSING = Absent("missing")
UNKNOWN_KEY = Absent("unknown key")


class Located:
    """What errors of documents share: what is wrong, and where. It is not a family of its own: nothing catches it.

    `path` is dotted with list indexes (`features[2].size`; empty for the whole document), `value` the
    offending value, `allowed` a phrase for what is allowed there. `str()` is one line.
    """

    def __init__(self, path: str, value: object, allowed: str) -> None:
        # `args` has the three too, so that the error can be pickled between worker processes.
        self.path = path
        self.value = value
        self.allowed = allowed

    def __str__(self) -> str:
        path = _cut(self.path) or "document"
        if isinstance(self.value, Absent):
            return f"{path}: {self.value}; {wants(self.allowed)}"
        wanted = with_hint(wants(self.allowed), likely(self.value, self.allowed))
        return f"{path}: {_shown(self.value)} is not allowed; {wanted}"


class SpecError(Located, HalflifeError, ValueError):
    """A document has a value that is not allowed: `path`, `value`, `allowed`."""


def validate(document: object, schema_name: str) -> None:
    """Check a parsed JSON document, which others may have written, against `schemas/json/<schema_name>.schema.json`.

    It ends at the first error; schemas check limits of size before the items of a list or mapping, and unknown keys
    before missing ones. So a document that is refused costs no more than one that is allowed.

    Raises:
        SpecError: for that first thing.
        FileNotFoundError: no schema has this name.
    """
    _check_plain(document, "")
    error = next(_validator(schema_name).iter_errors(document), None)
    if error is not None:
        raise _explain(error)


def all_errors(document: object, schema_name: str) -> list[SpecError]:
    """Everything that is wrong with a trusted document, in the order of its keys, unknown keys first.

    Raises:
        FileNotFoundError: no schema has this name.
    """
    try:
        _check_plain(document, "")
    except SpecError as error:
        return [error]
    found = [one for error in _validator(schema_name).iter_errors(document) for one in _explain_all(error)]
    meant = {hint for error in found if (hint := _meant(error))}
    return sorted((error for error in found if error.value is not MISSING or error.path not in meant), key=_known)


def _known(error: SpecError) -> bool:
    return error.value is not UNKNOWN_KEY


def _meant(error: SpecError) -> str | None:
    """The path of the key that an unknown key was meant for, which is then not also reported as missing."""
    hint = _HINT.search(error.allowed) if error.value is UNKNOWN_KEY else None
    if hint is None:
        return None
    parent, dot, _ = error.path.rpartition(".")
    return f"{parent}{dot}{hint.group(1)}"


def _explain_all(error: ValidationError) -> Iterable[SpecError]:
    """The single errors of one of jsonschema's errors, which combines all unknown keys of an object."""
    keyword, path = str(error.validator), _dotted(error.absolute_path)
    if keyword in ("anyOf", "oneOf") and error.context:
        fitting = _fitting(error)
        return [one for inner in fitting[0] for one in _explain_all(inner)] if len(fitting) == 1 else [_explain(error)]
    if keyword == "additionalProperties" and isinstance(error.instance, Mapping):
        return list(_unknown_keys(error, path))
    return [_explain(error)]


@cache
def _validator(schema_name: str) -> Draft202012Validator:
    root = schema_of(schema_name)
    schema = _inlined(root, root.get("$defs", {}))
    return cast(Draft202012Validator, _InOrder(schema))


@cache
def schema_of(schema_name: str) -> Mapping[str, Any]:
    """The JSON Schema of that name, as it is written. Raises FileNotFoundError where there is none."""
    text = (resources.files("schemas") / "json" / f"{schema_name}.schema.json").read_text("utf-8")
    return cast(Mapping[str, Any], json.loads(text))


def _unstated(validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """`additionalProperties` in the document's own order; jsonschema's order differs from process to process."""
    keys = [key for key in instance if key not in schema.get("properties", {})] if isinstance(instance, Mapping) else []
    if isinstance(allowed, Mapping):
        for key in keys:
            yield from validator.descend(instance[key], allowed, path=key)
    elif keys and not allowed:
        yield ValidationError("unknown keys")


_InOrder = validators.extend(  # type: ignore[no-untyped-call]  # its module has no types
    Draft202012Validator, {"additionalProperties": _unstated}
)


def _inlined(node: Any, definitions: Mapping[str, Any]) -> Any:
    """`node` with each `$ref` into `$defs` replaced by what it names, so that errors can describe it.

    Our schemas are not recursive; one that were would end in a RecursionError at the first validation.
    """
    if isinstance(node, list):
        return [_inlined(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        named = _inlined(definitions[str(node["$ref"]).removeprefix("#/$defs/")], definitions)
        rest = {key: value for key, value in node.items() if key != "$ref"}
        return {**named, **_inlined(rest, definitions)}
    return {key: _inlined(value, definitions) for key, value in node.items() if key != "$defs"}


def _urgency(error: SpecError) -> tuple[bool, int, str]:
    # A misspelt key also makes the right one missing; the misspelling is the useful error.
    return (error.value is not UNKNOWN_KEY, error.path.count("."), error.path)


def _check_plain(value: object, path: str) -> None:
    """Refuse what YAML or Python's JSON offers but JSON Schema does not know: keys that are not text, NaN."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            if not isinstance(key, str):
                raise SpecError(path, key, "keys that are strings (put the key in quotes)")
            _check_plain(child, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            _check_plain(child, f"{path}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise SpecError(path, value, "a finite number")


def _explain(error: ValidationError) -> SpecError:
    path = _dotted(error.absolute_path)
    keyword = str(error.validator)
    if keyword in ("anyOf", "oneOf") and error.context:
        return _explain_alternatives(error, path)
    if keyword in ("additionalProperties", "unevaluatedProperties"):
        return _explain_unknown_key(error, path)
    if keyword == "propertyNames":
        return SpecError(path, error.instance, f"keys that are {allowed_phrase(error.schema)}")
    if keyword == "required":
        return _explain_missing_key(error, path)
    if keyword == "dependentRequired":
        return SpecError(path, error.instance, f"the keys {_joined(_needed_with(error))}, which belong together")
    if keyword in ("not", "contains", "uniqueItems", "if"):
        return SpecError(path, error.instance, _stated_phrase(error.schema) or _KEYWORD_PHRASES[keyword])
    return SpecError(path, error.instance, _with_limit(allowed_phrase(error.schema), keyword, error.validator_value))


def _with_limit(allowed: str, keyword: str, limit: object) -> str:
    """What is allowed, with the size limit that was exceeded where the phrase does not contain it."""
    told = keyword not in _SIZES or str(limit) in allowed
    return allowed if told else f"{allowed}, {_limit(keyword, limit)}"


_SIZES = ("minItems", "maxItems", "minProperties", "maxProperties")
_KEYWORD_PHRASES = {
    "not": "anything but this",
    "contains": "a list with the required item",
    "uniqueItems": "a list without repeated items",
    "if": "what the other keys here ask for",
}


def _explain_alternatives(error: ValidationError, path: str) -> SpecError:
    """The error inside the one alternative whose type fits; else all alternatives, described."""
    fitting = _fitting(error)
    if len(fitting) == 1:
        return min((_explain(inner) for inner in fitting[0]), key=_urgency)
    return SpecError(path, error.instance, allowed_phrase(error.schema))


def _fitting(error: ValidationError) -> list[list[ValidationError]]:
    """The errors within each alternative whose type fits; of several mappings, of that whose keys are the nearest."""
    by_branch: dict[object, list[ValidationError]] = {}
    for inner in error.context or ():
        by_branch.setdefault(inner.relative_schema_path[0], []).append(inner)
    fitting = [
        errors
        for errors in by_branch.values()
        if not any(inner.validator == "type" and not inner.relative_path for inner in errors)
    ]
    if len(fitting) > 1 and isinstance(error.instance, Mapping):
        return [min(fitting, key=_wrong_keys)]
    return fitting


def _wrong_keys(errors: list[ValidationError]) -> int:
    """How many keys of a mapping are unknown or missing, by the errors within one alternative."""
    own = [inner for inner in errors if not inner.relative_path]
    unknown = [key for inner in own if inner.validator == "additionalProperties" for key in _unknown_keys(inner, "")]
    return len(unknown) + len([inner for inner in own if inner.validator == "required"])


def _explain_unknown_key(error: ValidationError, path: str) -> SpecError:
    return next(_unknown_keys(error, path), SpecError(path, UNKNOWN_KEY, allowed_phrase(error.schema)))


def _unknown_keys(error: ValidationError, path: str) -> Iterator[SpecError]:
    known = sorted(_schema(error).get("properties", {}))
    instance = error.instance if isinstance(error.instance, Mapping) else {}
    all_known = _joined(known) or "no keys"
    for index, unknown in enumerate(key for key in instance if key not in known):
        allowed, near = all_known, index < _MOST_COMPARED
        if near:
            allowed += did_you_mean(unknown, known, QUOTE)
        yield SpecError(f"{path}.{unknown}" if path else unknown, UNKNOWN_KEY, allowed)


_HINT = re.compile(r"did you mean '(.*)'\?$")


def _explain_missing_key(error: ValidationError, path: str) -> SpecError:
    instance = error.instance if isinstance(error.instance, Mapping) else {}
    required = error.validator_value if isinstance(error.validator_value, list) else []
    missing = next((key for key in required if f"'{key}'" in error.message and key not in instance), "")
    allowed = allowed_phrase(_schema(error).get("properties", {}).get(missing, {}))
    return SpecError(f"{path}.{missing}" if path else missing, MISSING, allowed)


def _needed_with(error: ValidationError) -> list[str]:
    needed = error.validator_value if isinstance(error.validator_value, Mapping) else {}
    return sorted({name for key, names in needed.items() for name in (key, *names)})


def _schema(error: ValidationError) -> Mapping[str, Any]:
    return error.schema if isinstance(error.schema, Mapping) else {}


def _stated_phrase(schema: object) -> str:
    return str(schema.get("allowed", "")) if isinstance(schema, Mapping) else ""


def allowed_phrase(schema: object) -> str:
    """What a subschema allows, in words: its enum, its `allowed`, or its type with limits."""
    if not isinstance(schema, Mapping):
        return "any value" if schema else "nothing"
    if "enum" in schema:
        return _joined(schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if "allowed" in schema:
        return str(schema["allowed"])
    for combination in ("anyOf", "oneOf"):
        if combination in schema:
            return " or ".join(allowed_phrase(part) for part in schema[combination])
    types = schema.get("type", [])
    names = [_TYPE_NAMES[name] for name in ([types] if isinstance(types, str) else types)]
    stated = [key for key in _LIMITS if key in schema]
    limits = [_limit(key, schema[key]) for key in stated]
    if stated[:2] == ["minimum", "maximum"]:
        limits[:2] = [f"from {schema['minimum']} to {schema['maximum']}"]
    return " ".join([" or ".join(names) or "any value", *limits])


def _limit(keyword: str, limit: object) -> str:
    said = _LIMITS[keyword].format(limit)
    return said.removesuffix("s") if limit == 1 and keyword in _COUNTED else said


_COUNTED = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_LIMITS = {
    "minimum": "of at least {}",
    "exclusiveMinimum": "greater than {}",
    "maximum": "of at most {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "of at least {} characters",
    "maxLength": "of at most {} characters",
    "minItems": "of at least {} items",
    "maxItems": "of at most {} items",
    "minProperties": "of at least {} keys",
    "maxProperties": "of at most {} keys",
    "pattern": "matching {}",
    "multipleOf": "that is a multiple of {}",
}


def _dotted(parts: Any) -> str:
    path = ""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else (f".{part}" if path else str(part))
    return path


def _joined(values: Any) -> str:
    return ", ".join(str(value) for value in values)


def _shown(value: object) -> str:
    return "null" if value is None else _cut(" ".join(repr(value).split()), _SHOWN_CHARACTERS)


def _cut(text: str, most: int = _PATH_CHARACTERS) -> str:
    """A text with its middle left out where it is long: the end of a path distinguishes it from others."""
    half = most // 2
    return text if len(text) <= most else f"{text[: half - 1]}…{text[-half:]}"
