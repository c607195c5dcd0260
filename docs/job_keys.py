"""What docs/job.md takes from the JSON Schema of the job spec: each key, what is allowed, its default, an example."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from docs.tables import linked, table
from schemas.keys import DocumentKey, keys_of
from schemas.validation import allowed_phrase, schema_of

_HEADER = ("key", "allowed", "default", "meaning", "example")


def job_region(schema: Path) -> str:
    """Everything that a schema `NAME.schema.json` says for people, in Markdown."""
    return "\n".join(_parts(schema.name.removesuffix(".schema.json")))


def _parts(name: str) -> Iterator[str]:
    root, keys = schema_of(name), list(keys_of(name))
    yield linked(root["description"]) + "\n"
    yield f"```yaml\n{yaml.safe_dump(root['examples'][0], sort_keys=False, width=140)}```\n"
    top = [key for key in keys if key.path in root["properties"]]
    yield "## Sections\n"
    prefixes = {key.path: (f"{key.path}.", f"{key.path}[]") for key in top}
    below = {path: [each for each in keys if each.path.startswith(own)] for path, own in prefixes.items()}
    yield table(("key", "is", "meaning"), [_section_row(key, bool(below[key.path])) for key in top]) + "\n"
    for section in top:
        inner = below[section.path]
        if inner:
            yield f"## `{section.path}`\n\n{linked(section.schema['description'])}\n"
            yield table(_HEADER, [_row(key, section.path) for key in inner]) + "\n"
    yield "## Kinds of values\n"
    yield table(("kind", "allowed", "meaning", "example"), _kinds(root["$defs"])) + "\n"


def _section_row(key: DocumentKey, inner: bool) -> tuple[str, str, str]:
    name = f"[`{key.path}`](#{key.path})" if inner else f"`{key.path}`"
    meaning = linked(key.schema["description"])
    if not inner:
        meaning += f" It is {_allowed(key)}, such as {_code(key.schema['examples'][0])}."
    return name, "required" if key.required else "optional", meaning


def _row(key: DocumentKey, section: str) -> tuple[str, ...]:
    name = key.path.removeprefix(f"{section}.").removeprefix(f"{section}[].")
    default = "required" if key.required else _code(key.schema["default"]) if "default" in key.schema else "none"
    example = _one_line(key.schema["examples"][0])
    shown = example if name.endswith(".NAME") else f"{name}: {example}"
    return f"`{name}`", _allowed(key), default, linked(key.schema["description"]), f"`{shown}`"


def _allowed(key: DocumentKey) -> str:
    return f"a [{key.kind}](#kinds-of-values)" if key.kind else allowed_phrase(key.schema)


def _kinds(kinds: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The kinds that are not mappings; the keys of mappings are in their own sections."""
    for kind, schema in kinds.items():
        if schema.get("type") != "object":
            yield kind, allowed_phrase(schema), linked(schema["description"]), _code(schema["examples"][0])


def _code(value: Any) -> str:
    return f"`{_one_line(value)}`"


def _one_line(value: Any) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False, default_flow_style=True, width=float("inf"), allow_unicode=True)
    return text.removesuffix("...\n").strip()
