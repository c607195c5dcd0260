"""JSON that may be nested deeper than a stack: its depth, and a parser that needs no recursion."""

import json
import re
from typing import Any

import numpy as np

MAX_NESTING = 512
"""How deep arrays, objects, records and maps may be nested in one record, and in an Avro schema."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_STEPS = np.zeros(256, np.int64)
_STEPS[list(b"[{")], _STEPS[list(b"]}")] = 1, -1
_TOKEN = re.compile(r'[ \t\n\r]*(?:([\[\]{},:])|(")|(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|true|false|null))')
_DIGITS = 300  # of a number in a schema


def is_deep(text: bytes) -> bool:
    """Whether JSON is nested more than `MAX_NESTING` deep; most texts are too short for that.

    >>> is_deep(b"[" * 512 + b"]" * 512), is_deep(b"[" * 513 + b"]" * 513)
    (False, True)
    """
    if len(text) <= 2 * MAX_NESTING or text.count(b"[") + text.count(b"{") <= MAX_NESTING:
        return False
    bare = np.frombuffer(_STRING.sub(b"", text), np.uint8)
    return bool(np.cumsum(_STEPS[bare]).max(initial=0) > MAX_NESTING)


def read_json(text: str) -> Any:
    """The result of `json.loads` for a text of any depth: the stack is a list. Raises `ValueError`.

    >>> read_json('{"a": [1, 2.5, null]}')
    {'a': [1, 2.5, None]}
    """
    return _Reader(text).value()


class _Reader:
    """Open containers are kept on `_open`, each with the key for its next value (None in arrays)."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._open: list[list[Any]] = []

    def value(self) -> Any:
        whole: list[Any] = []
        self._open = [[whole, None]]
        self._item(self._token())
        while len(self._open) > 1:
            holder, key = self._open[-1]
            token = self._token()
            if token == ("]" if isinstance(holder, list) else "}"):
                self._open.pop()
            elif key is None and not holder:
                self._member(token)
            elif token == ",":
                self._member(self._token())
            else:
                raise ValueError(f"JSON has {token!r} before character {self._at}; expected: a comma or a bracket")
        if self._text[self._at :].strip(" \t\n\r"):
            raise ValueError(f"JSON goes on at character {self._at}; expected: its end")
        return whole[0]

    def _member(self, token: Any) -> None:
        """One item of the innermost container, with its key where that is an object."""
        if isinstance(self._open[-1][0], dict):
            if not isinstance(token, _Text) or self._token() != ":":
                raise ValueError(f"JSON has no key before character {self._at}; expected: a quoted text and a colon")
            self._open[-1][1] = str(token)
            token = self._token()
        self._item(token)

    def _item(self, token: Any) -> None:
        if token in ("[", "{") and not isinstance(token, _Text):
            fresh: Any = [] if token == "[" else {}
            self._put(fresh)
            self._open.append([fresh, None])
        elif isinstance(token, str) and not isinstance(token, _Text):
            raise ValueError(f"JSON has {token!r} before character {self._at}; expected: a value")
        else:
            self._put(str(token) if isinstance(token, _Text) else token)

    def _put(self, value: Any) -> None:
        holder, key = self._open[-1]
        if isinstance(holder, dict):
            holder[key] = value
        else:
            holder.append(value)

    def _token(self) -> Any:
        """A punctuation character as itself, a text as `_Text`, anything else as its value."""
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            raise ValueError(f"JSON ends or has a wrong character at {self._at}; expected: a value or punctuation")
        self._at = found.end()
        sign, quote, plain = found.groups()
        if sign:
            return sign
        if quote:
            text, self._at = json.decoder.scanstring(self._text, self._at, True)  # type: ignore[attr-defined]
            return _Text(text)
        if len(plain) > _DIGITS:
            raise ValueError(f"JSON has a number of {len(plain)} characters; allowed: at most {_DIGITS}")
        return json.loads(plain)


class _Text(str):
    """A text of the JSON, as opposed to its punctuation."""

    __slots__ = ()
