"""YAML that other tools wrote: read as texts alone, so that no value becomes what it was not written as."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from yaml.error import MarkedYAMLError

from models.errors import one_line
from models.publishing.description import CannotPublish

MOST_BYTES = 1024 * 1024
"""How long such a file may be: PyYAML reads some 100,000 characters a second."""
_MOST_LEVELS, _MOST_TEXT = 50, 4096
_SHOWN = 20


class _Texts(yaml.BaseLoader):
    """Scalars are texts: a hash of digits alone stays one. No tags, no aliases, no key twice."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._levels = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """As PyYAML, which follows nested values until Python's stack ends."""
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self.check_event(yaml.AliasEvent):
            raise MarkedYAMLError(None, None, "an alias (*name)", mark)
        self._levels += 1
        if self._levels > _MOST_LEVELS:
            raise MarkedYAMLError(None, None, f"more than {_MOST_LEVELS} levels", mark)
        node = super().compose_node(parent, index)
        self._levels -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """As PyYAML, which takes the last of two equal keys."""
        seen = set[str]()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise MarkedYAMLError(None, None, f"the key {key.value!r:.80} twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_mapping(file: Path, what: str) -> dict[str, Any]:
    """The mapping of a YAML file, whose scalars are texts.

    Args:
        file: the file.
        what: what it should be, for messages.

    Raises:
        CannotPublish: it cannot be read as that.
    """
    try:
        with file.open("rb") as stream:
            raw = stream.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise CannotPublish(f"{file} has more than {MOST_BYTES} bytes; expected: {what} of at most so many")
        found = yaml.load(raw.decode("utf-8"), _Texts)  # makes nothing but texts, lists and mappings
    except OSError as error:
        raise CannotPublish(f"{file} cannot be read: {error.strerror}; expected: {what}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" in line {mark.line + 1}"
        problem = getattr(error, "problem", None) or one_line(error)
        raise CannotPublish(f"{file} is not readable{where}: {problem}; expected: {what}") from None
    if not isinstance(found, dict):
        raise CannotPublish(f"{file} holds no mapping; expected: {what}")
    return found


def text_of(found: Mapping[str, Any], key: str) -> str | None:
    """A text of a mapping: None where it is absent, empty, no text, or holds what cannot be shown."""
    value = found.get(key)
    return value if isinstance(value, str) and 0 < len(value) <= _MOST_TEXT and value.isprintable() else None


def number_of(found: Mapping[str, Any], key: str) -> int | None:
    """A whole number of a mapping of texts."""
    value = text_of(found, key)
    return int(value) if value and value.isascii() and value.isdigit() and len(value) <= 18 else None


def listed(choices: list[str]) -> str:
    """The choices that somebody has, for a message."""
    more = f" and {len(choices) - _SHOWN} more" if len(choices) > _SHOWN else ""
    return ", ".join(choices[:_SHOWN]) + more
