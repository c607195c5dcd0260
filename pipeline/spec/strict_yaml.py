"""YAML read strictly: each document has one meaning, of a size that a spec may have, or is an error."""

from collections.abc import Iterator
from typing import Any

import yaml
from yaml.error import MarkedYAMLError

from models.errors import one_line
from schemas.problems import Problems
from schemas.validation import Absent, SpecError

MOST_CHARACTERS = 1024 * 1024
"""How long a YAML text may be: PyYAML reads some 100,000 characters a second."""
_LEAST_ROOM, _MOST_EXPANSION = 10_000, 4  # characters; and how many for each written one
_MOST_LEVELS, _MOST_NODES = 50, 100_000
_MOST_DIGITS = 400  # Python refuses whole numbers of thousands of digits, and to print them
# As keys (`on: tailnum`) these are names, as YAML 1.2 has it; YAML 1.1, which PyYAML reads, calls them booleans.
_WORDS = frozenset({"on", "off", "yes", "no"})
_KINDS = {
    "tag:yaml.org,2002:bool": "true or false",
    "tag:yaml.org,2002:int": "a whole number, or the text in quotes",
    "tag:yaml.org,2002:float": "a number, or the text in quotes",
    "tag:yaml.org,2002:timestamp": "a time without a tag",
    "tag:yaml.org,2002:null": "null",
    "tag:yaml.org,2002:binary": "a text without a tag",
}


class _Loader(yaml.SafeLoader):
    """Safe YAML in which times stay text: the spec parses times itself."""


    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._levels, self._nodes = 0, 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """As PyYAML, which follows nested values until Python's stack ends."""
        self._levels, self._nodes = self._levels + 1, self._nodes + 1
        for most, found, what in ((_MOST_LEVELS, self._levels, "levels"), (_MOST_NODES, self._nodes, "values")):
            if found > most:
                raise MarkedYAMLError(None, None, f"more than {most} {what}", self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        self._levels -= 1
        is_key = isinstance(parent, yaml.MappingNode) and index is None
        if is_key and isinstance(node, yaml.ScalarNode) and node.value.lower() in _WORDS:
            node.tag = "tag:yaml.org,2002:str"
        return node


_Loader.yaml_implicit_resolvers = {
    start: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for start, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(text: str) -> Any:
    """The one YAML document of a text.

    Raises:
        SpecError: a mapping has a key twice, of which PyYAML would silently use the last; aliases expand too far; a
            value cannot be read as what it is, such as a number of thousands of digits.
        yaml.YAMLError: it is not YAML, or is nested too deeply.
        RecursionError: it contains itself.
    """
    if len(text) > MOST_CHARACTERS:
        raise SpecError("", Absent(f"more than {MOST_CHARACTERS} characters"), "a shorter text")
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _refuse_expansion(node, text)
        problems = Problems()
        problems.add(_repeats(node, ""))
        problems.add(_unreadable(loader, node, "", set()))
        problems.check()
        return loader.construct_document(node)
    finally:
        loader.dispose()


def yaml_problem(error: Exception) -> str:
    """What is wrong in a YAML text, and where; PyYAML's own message repeats the lines with markers below them."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return one_line(error)
    context = getattr(error, "context", None)
    within = f" ({context})" if context else ""
    return f"line {mark.line + 1}, column {mark.column + 1}: {getattr(error, 'problem', '')}{within}"


def _refuse_expansion(node: yaml.Node, text: str) -> None:
    """Refuses a document whose aliases expand to much more than is written: walking through it would not end."""
    if _written_out(node, {}) > _LEAST_ROOM + _MOST_EXPANSION * len(text):
        raise SpecError("", Absent("aliases (*name) that stand for too much"), "what they stand for, written out")


def _written_out(node: yaml.Node, known: dict[int, int]) -> int:
    """Characters of a document without aliases, and one for each value. Raises `RecursionError` for a circle."""
    if isinstance(node, yaml.ScalarNode):
        return 1 + len(node.value)
    if id(node) not in known:
        known[id(node)] = -1
        parts = node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
        known[id(node)] = 1 + sum(_written_out(part, known) for part in parts)
    if known[id(node)] < 0:
        raise RecursionError("recursion: an alias stands for what it is a part of")
    return known[id(node)]


def _repeats(node: yaml.Node, path: str) -> Iterator[SpecError]:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _repeats(item, f"{path}[{index}]")
    if not isinstance(node, yaml.MappingNode):
        return
    lines: dict[str, int] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue  # a key that is not text is refused by the schema
        spec_path, line = f"{path}.{key.value}" if path else key.value, key.start_mark.line + 1
        if key.value in lines:
            yield SpecError(spec_path, Absent(f"given twice, in lines {lines[key.value]} and {line}"), "each key once")
        lines.setdefault(key.value, line)
        yield from _repeats(value, spec_path)


def _unreadable(loader: _Loader, node: yaml.Node, path: str, seen: set[int]) -> Iterator[SpecError]:
    """The values that their type does not allow, for which PyYAML raises whatever Python raised."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        yield from _unreadable_scalar(loader, node, path)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _unreadable(loader, item, f"{path}[{index}]", seen)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            yield from _unreadable(loader, key, path, seen)
            yield from _unreadable(loader, value, f"{path}.{name}" if path else name, seen)


def _unreadable_scalar(loader: _Loader, node: yaml.ScalarNode, path: str) -> Iterator[SpecError]:
    kind = _KINDS.get(node.tag)
    if kind is None:
        return  # a text, or a tag that PyYAML itself refuses
    if len(node.value) > _MOST_DIGITS:
        yield SpecError(path, Absent(f"a number of {len(node.value)} characters"), f"at most {_MOST_DIGITS} characters")
        return
    try:
        loader.construct_object(node)
    except (ArithmeticError, AttributeError, LookupError, ValueError):
        yield SpecError(path, node.value, kind)
