"""Why a line of JSON does not fit its columns, in words. Only for lines that are refused: it reads them again."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from schemas.expectations import wants

_SHOWN = 80
_EXPECTED = {
    "number": "a number or null",
    "integer": "a 64-bit whole number or null",
    "boolean": "true, false or null",
    "string": "a text or null",
    "name": "a text or a whole number",
    "time": "a time as a text or a 64-bit number",
    "timestamp": "a time as a text or a 64-bit number",
}
_LIST = "a list of numbers or null"
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def wrong_type(line: bytes, wanted: Mapping[str, str], read: Callable[[str, bytes], Any]) -> str:
    """The first column whose value has another type, with the value and what is expected.

    Args:
        line: valid JSON that a decoder of these columns refused.
        wanted: each column with what it takes, one of the keys of `_EXPECTED`, or the kind of a vector.
        read: reads the value of a column. Raises `ValueError` (as msgspec's errors are) for a value of another type.
    """
    try:
        fields = _FIELDS.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"{_shown(line.strip())} is not allowed; {wants('one JSON object on each line')}"
    for name, kind in wanted.items():
        value = bytes(fields.get(name, b"null"))
        try:
            read(name, value)
        except (ValueError, RecursionError):
            return f"{name}: {_shown(value)} is not allowed; {wants(_EXPECTED.get(kind, _LIST))}"
    return f"a column is named twice, once with a value of another type; {wants('each name once in a JSON object')}"


def _shown(value: bytes) -> str:
    """The value as it is written, on one line, in characters that can be printed; the middle of a long one is cut."""
    text = " ".join(value.decode("utf-8", "backslashreplace").split())
    text = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
    half = _SHOWN // 2
    return text if len(text) <= _SHOWN else f"{text[: half - 1]}…{text[-half:]}"
