"""The expressions of a job spec: what they name, in which order they are computed, and what is wrong with them."""

from collections.abc import Callable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

from pipeline.spec.columns import columns_of_key
from pipeline.spec.lookups import columns_of_tables
from schemas.columns import KINDS
from schemas.expressions.checking import check
from schemas.expressions.nodes import MalformedExpression, Node, names_in
from schemas.expressions.reading import parse, text_of
from schemas.job import DerivedSpec
from schemas.validation import Absent, SpecError
from transforms.features.added_aggregates import aggregate_of

Sound = Callable[[str], bool]
EVENTS_WHERE = "events.where"
_OWN = "__"
_OF_EVENT = "event columns, event_time, or features that are computed of the event alone"


class Stated(NamedTuple):
    """An expression of a document: its path, its text, and the feature that it belongs to, None for `events.where`."""

    path: str
    text: str
    feature: Mapping[str, Any] | None

    @property
    def derives(self) -> bool:
        """Whether it computes a feature; otherwise it is a condition."""
        return self.path.endswith(".expression")


def mappings(document: Mapping[str, Any], sound: Sound = lambda _: True) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The sound features that are no mere column, each with its path."""
    features = document.get("features")
    for index, feature in enumerate(features if isinstance(features, list) else ()):
        if isinstance(feature, Mapping) and sound(f"features[{index}]"):
            yield f"features[{index}]", feature


def stated(document: Mapping[str, Any], sound: Sound = lambda _: True) -> Iterator[Stated]:
    """Every expression of the sound parts of a document."""
    events = document.get("events")
    condition = events.get("where") if isinstance(events, Mapping) else None
    if isinstance(condition, str) and sound(EVENTS_WHERE):
        yield Stated(EVENTS_WHERE, condition, None)
    for path, feature in mappings(document, sound):
        for key in ("expression", "where"):
            if isinstance(feature.get(key), str):
                yield Stated(f"{path}.{key}", feature[key], feature)


def feature_names(document: Mapping[str, Any], sound: Sound = lambda _: True) -> tuple[set[str], set[str]]:
    """The names of the features that expressions compute, and of the windowed ones."""
    named = [feature for _, feature in mappings(document, sound) if isinstance(feature.get("name"), str)]
    derived = {feature["name"] for feature in named if "expression" in feature}
    return derived, {feature["name"] for feature in named} - derived


def read_or_none(text: str) -> Node | None:
    """The expression of a text; None where it cannot be read, which `expression_errors` tells."""
    try:
        return parse(text)
    except MalformedExpression:
        return None


def named_columns(one: Stated, features: set[str]) -> list[str]:
    """The event columns that an expression names: whatever is no feature."""
    node = read_or_none(one.text)
    names = () if node is None else dict.fromkeys(name.name for name in names_in(node))
    return [name for name in names if name not in features]


def expression_errors(document: Mapping[str, Any], sound: Sound = lambda _: True) -> Iterator[SpecError]:
    """What is wrong with expressions, as far as it can be told without the kinds of columns."""
    derived, windowed = feature_names(document, sound)
    of_tables = set(columns_of_tables(document, sound))
    for one in stated(document, sound):
        try:
            node = parse(one.text)
        except MalformedExpression as error:
            yield _located(one.path, error)
            continue
        forbidden = derived | windowed if one.feature is None else set() if one.derives else windowed
        for name in names_in(node):
            if name.name.startswith(_OWN):
                allowed = "the name of an event column (names that start with __ are Halflife's own)"
                yield _located(one.path, MalformedExpression(one.text, name.at, allowed))
            elif name.name in forbidden:
                allowed = "event columns and event_time" if one.feature is None else _OF_EVENT
                yield _located(one.path, MalformedExpression(one.text, name.at, f"{allowed}; this is a feature"))
            elif one.feature is None and name.name in of_tables:
                allowed = "event columns and event_time; tables are joined to the events for which it is true"
                yield _located(one.path, MalformedExpression(one.text, name.at, allowed))
    yield from _order_errors(document, sound)


def _located(path: str, error: MalformedExpression) -> SpecError:
    return SpecError(path, Absent(error.found), error.allowed)


def _reads(document: Mapping[str, Any], sound: Sound) -> dict[str, set[str]]:
    """The features that each feature names."""
    derived, windowed = feature_names(document, sound)
    reads: dict[str, set[str]] = {name: set() for name in (*derived, *windowed)}
    for _, feature in mappings(document, sound):
        if isinstance(feature.get("name"), str) and "expression" not in feature:
            named = [feature.get("column"), *columns_of_key(feature.get("key", ()))]
            reads[feature["name"]] |= derived & {name for name in named if isinstance(name, str)}
    for one in stated(document, sound):
        node = read_or_none(one.text)
        if one.feature is not None and node is not None and isinstance(one.feature.get("name"), str):
            reads[one.feature["name"]] |= (derived | windowed) & {name.name for name in names_in(node)}
    return reads


def _order_errors(document: Mapping[str, Any], sound: Sound) -> Iterator[SpecError]:
    """Circles, and windowed features of what is computed only after them."""
    _, windowed = feature_names(document, sound)
    reads = _reads(document, sound)
    paths = {feature.get("name"): path for path, feature in mappings(document, sound)}
    try:
        order = list(TopologicalSorter(reads).static_order())
    except CycleError as error:
        circle = list(reversed(error.args[1]))
        found = Absent(f"a circle, {' → '.join(circle)}")
        yield SpecError(paths[circle[0]], found, "features that do not need themselves")
        return
    late = _late(order, reads, windowed)
    for name in sorted(windowed, key=lambda name: paths[name]):
        for other in sorted(reads[name] & late):
            allowed = f"{_OF_EVENT} ({other} is computed of windowed features)"
            yield SpecError(paths[name], Absent(f"{name} reads {other}"), allowed)


def _late(order: list[str], reads: Mapping[str, set[str]], windowed: set[str]) -> set[str]:
    """The computed features that need a windowed one."""
    late: set[str] = set()
    for name in order:
        if name not in windowed and reads[name] & (late | windowed):
            late.add(name)
    return late


class Derived(NamedTuple):
    """What is computed, each after what it reads; the kinds of all columns and features; and what does not fit."""

    specs: tuple[DerivedSpec, ...]
    kinds: dict[str, str]
    errors: list[SpecError]


def derived_of(
    document: Mapping[str, Any], columns: Mapping[str, str], sound: Sound = lambda _: True, typed: bool = True
) -> Derived:
    """The computed features of a document without `expression_errors`, over event columns of these kinds; without
    `typed` no kinds are checked."""
    windowed = {feature["name"]: feature for _, feature in mappings(document, sound) if "expression" not in feature}
    own = {one.feature["name"]: one for one in stated(document, sound) if one.derives and one.feature is not None}
    reads = _reads(document, sound)
    order = list(TopologicalSorter(reads).static_order())
    late = _late(order, reads, set(windowed))
    of_tables = set(columns_of_tables(document, sound))
    found = Derived((), dict(columns), [])
    for name in order:
        if name in windowed:
            column = windowed[name].get("column")
            if column is None or column in found.kinds:
                found.kinds[name] = aggregate_of(windowed[name]["aggregate"]).kind(found.kinds.get(column or ""))
        elif kind := _kind(own[name], found) if typed else "number":
            found.kinds[name] = kind
            node = parse(own[name].text)
            named = reads[name] | of_tables & {each.name for each in names_in(node)}
            spec = DerivedSpec(name, text_of(node), kind, name in late, tuple(sorted(named)))
            found = found._replace(specs=(*found.specs, spec))
    for one in stated(document, sound):
        if typed and not one.derives:
            _check_condition(one, found)
    return found


def _kind(one: Stated, known: Derived) -> str | None:
    kind = _checked(one, known)
    if kind is not None and kind not in KINDS:
        known.errors.append(SpecError(one.path, Absent(f"a feature of kind {kind}"), f"one of {', '.join(KINDS)}"))
        return None
    return kind


def _check_condition(one: Stated, known: Derived) -> None:
    kind = _checked(one, known)
    if kind not in (None, "boolean"):
        found = Absent(f"{one.text[:80]!r} of kind {kind}")
        known.errors.append(SpecError(one.path, found, "a condition, which is true or false"))


def _checked(one: Stated, known: Derived) -> str | None:
    """The kind of an expression; None where it has none, or names what has none, which is told elsewhere."""
    node = parse(one.text)
    if any(name.name not in known.kinds for name in names_in(node)):
        return None
    try:
        return check(one.text, node, known.kinds).kind
    except MalformedExpression as error:
        known.errors.append(_located(one.path, error))
        return None


def condition_of(text: str | None) -> str | None:
    """The one text of a condition."""
    return None if text is None else text_of(parse(text))


def features_read(feature: Mapping[str, Any], others: set[str]) -> tuple[str, ...]:
    """Which of the computed features and columns of tables a windowed feature names."""
    node = parse(feature["where"]) if "where" in feature else None
    names = {name.name for name in names_in(node)} if node is not None else set()
    return tuple(sorted(others & {feature.get("column"), *columns_of_key(feature["key"]), *names}))
