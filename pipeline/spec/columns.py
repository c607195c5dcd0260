"""What a spec states of the types of its event columns (`events.columns`)."""

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.columns import ALLOWED, KINDS
from schemas.validation import SpecError
from schemas.vectors import FORMS, vector_of


def kinds_of(stated: Mapping[str, Any]) -> dict[str, str]:
    """The kind of each column.

    >>> kinds_of({"age": "integer", "pixels": {"type": "vector[784]", "text": ","}})
    {'age': 'integer', 'pixels': 'vector[784]'}
    """
    return {name: one["type"] if isinstance(one, Mapping) else one for name, one in stated.items()}


def texts_of(stated: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The vectors that are written as one text, each with the sign between its numbers.

    >>> texts_of({"age": "integer", "pixels": {"type": "vector[784]", "text": ","}})
    (('pixels', ','),)
    """
    return tuple((name, one["text"]) for name, one in stated.items() if isinstance(one, Mapping))


def with_texts(columns: Mapping[str, str], texts: Mapping[str, str]) -> dict[str, Any]:
    """The columns as a spec states them: `kinds_of` and `texts_of` together."""
    return {name: {"type": kind, "text": texts[name]} if name in texts else kind for name, kind in columns.items()}


def kind_errors(stated: Mapping[str, Any]) -> Iterator[SpecError]:
    """Kinds of columns that a JSON Schema cannot tell to be none."""
    for name, one in stated.items():
        spec_path = f"events.columns.{name}"
        kind = one.get("type") if isinstance(one, Mapping) else one
        if not isinstance(kind, str) or vector_of(kind) is not None:
            continue
        if isinstance(one, Mapping):
            yield SpecError(f"{spec_path}.type", kind, FORMS)
        elif kind not in KINDS:
            yield SpecError(spec_path, kind, ALLOWED)


def key_of(stated: Any) -> str | tuple[str, ...]:
    """The key of a windowed feature: a column, or several; a list of one column is that column.

    >>> key_of("origin"), key_of(["origin"]), key_of(["origin", "carrier"])
    ('origin', 'origin', ('origin', 'carrier'))
    """
    if isinstance(stated, str):
        return stated
    return stated[0] if len(stated) == 1 else tuple(stated)


def columns_of_key(stated: Any) -> list[str]:
    """The columns of a key as the document states it."""
    return [stated] if isinstance(stated, str) else list(stated)
