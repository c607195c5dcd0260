"""How a message states what it wants: "allowed:" before a list of values or a range, otherwise "expected:"."""

import re
from functools import lru_cache

_HINT = re.compile(r"(; | \()(did you mean|next:|default).*$")
_ITEM = r"(?:'[^']*'|\"[^\"]*\"|[^\s,;]+)"
_AND = r"(?:, (?:or )?| or )"
_LIST = re.compile(rf"(?:(?:one|some) of )?{_ITEM}(?:{_AND}{_ITEM})+\.?")
_NUMBER = r"-?\d[\d,.]*(?:e[+-]?\d+)?%?"
_WORDS = r"(?!a (?:string|list|mapping|text|duration)\b)(?:(?:an? )?(?:[a-z]+ ){0,3}(?:of )?)"
_BOUND = r"(?:at (?:most|least)|more than|less than|fewer than|greater than|up to|above|below|within|from)"
_RANGE = re.compile(rf"{_WORDS}(?:{_BOUND} {_NUMBER}|{_NUMBER} to {_NUMBER})\b.*|{_NUMBER} (?:or|and) {_NUMBER}")


@lru_cache(1024)
def wants(text: str) -> str:
    """The end of a message: `text` is what may stand where the message points to.

    >>> wants("avro, json"), wants("0 to 1"), wants("a path or URI")
    ('allowed: avro, json', 'allowed: 0 to 1', 'expected: a path or URI')
    """
    return f"{'allowed' if is_choice(text) else 'expected'}: {text}"


def is_choice(text: str) -> bool:
    """Whether a text is a list of two values or more (words without spaces, or quoted), or a range of numbers.

    Forms of URLs are not a list.
    """
    text = _HINT.sub("", text)
    return "://" not in text and bool(_LIST.fullmatch(text) or _RANGE.fullmatch(text))
