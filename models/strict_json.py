"""JSON from an untrusted source: it has exactly one meaning, or raises an error."""

import json
import math
from typing import Any

from models.errors import one_line
from schemas.validation import Absent, SpecError

_WHOLE_DIGITS = 40
_MOST_LEVELS = 200


def parse_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in `raw`, which must be UTF-8 with each key once and finite numbers only.

    Raises:
        SpecError: it is anything else, or is nested more than 200 levels deep: what can be read in one thread must not
            fail in another one with less stack left.
    """
    try:
        document = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique_keys,
            parse_constant=_refuse_number,
            parse_float=_finite,
            parse_int=_whole,
        )
        # A lone surrogate passes the parser, and would fail much later, when the text is written.
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    except SpecError:
        raise
    except (ValueError, RecursionError) as error:
        raise SpecError("", Absent(one_line(error)), "JSON in UTF-8") from None
    if not isinstance(document, dict):
        raise SpecError("", document, "a mapping")
    _check_levels(document)
    return document


def _check_levels(document: dict[str, Any]) -> None:
    level: list[Any] = [document]
    for _ in range(_MOST_LEVELS):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return
    raise SpecError("", Absent("nested too deeply"), f"at most {_MOST_LEVELS} levels")


def _children(parent: Any) -> list[Any]:
    children = parent.values() if isinstance(parent, dict) else parent
    return [child for child in children if isinstance(child, (dict, list))]


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise SpecError(name, Absent("key given twice"), "each key once")
        found[name] = value
    return found


def _refuse_number(text: str) -> float:
    raise SpecError("", text[:_WHOLE_DIGITS], "finite numbers of a float's range")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse_number(text)


def _whole(text: str) -> int:
    # Far beyond int64, but every such number still converts to a finite float.
    return int(text) if len(text) <= _WHOLE_DIGITS else int(_refuse_number(text))
