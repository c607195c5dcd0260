"""How a message states what it wants: "allowed:" before a list of values or a range, otherwise "expected:"; and the one
"did you mean" of all messages."""

import difflib
import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import takewhile

_HINT = re.compile(r"(; | \()(did you mean|next:|default).*$")
_ITEM = r"(?:'[^']*'|\"[^\"]*\"|[^\s,;]+)"
_AND = r"(?:, (?:or )?| or )"
_LIST = re.compile(rf"(?:(?:one|some) of )?{_ITEM}(?:{_AND}{_ITEM})+\.?")
_NUMBER = r"-?\d[\d,.]*(?:e[+-]?\d+)?%?"
_WORDS = r"(?!a (?:string|list|mapping|text|duration)\b)(?:(?:an? )?(?:[a-z]+ ){0,3}(?:of )?)"
_BOUND = r"(?:at (?:most|least)|more than|less than|fewer than|greater than|up to|above|below|within|from)"
_RANGE = re.compile(rf"{_WORDS}(?:{_BOUND} {_NUMBER}|{_NUMBER} to {_NUMBER})\b.*|{_NUMBER} (?:or|and) {_NUMBER}")
_MOST_CHARACTERS = 80  # of a name that is compared; the time grows with the square
QUOTE = "'"
"""Around names that are data, such as columns and keys; options, verbs and versions stand as they are typed."""
LIKENESS = 0.6
"""From which likeness on, 0 to 1, a name counts as another one misspelt."""


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


def nearest(given: str, known: Iterable[str], most: int = 1, likeness: float = LIKENESS) -> list[str]:
    """The known names that are like the given one, the nearest first; upper and lower case are no difference.

    >>> nearest("Dely", ["delay", "distance"], most=2)
    ['delay']
    """
    spelt: dict[str, str] = {}
    for name in known:
        spelt.setdefault(name[:_MOST_CHARACTERS].lower(), name)
    close = difflib.get_close_matches(given[:_MOST_CHARACTERS].lower(), spelt, n=most, cutoff=likeness)
    return [spelt[name] for name in close]


def meant(names: Iterable[str], quote: str = "") -> str:
    """The end of a message that offers these names; empty where there are none.

    >>> meant(["publish"]), meant([])
    ('; did you mean publish?', '')
    """
    listed = " or ".join(f"{quote}{name}{quote}" for name in names)
    return f"; did you mean {listed}?" if listed else ""


def with_hint(message: str, hint: str) -> str:
    """The message with a hint before its advice.

    >>> with_hint("no such version; next: halflife models publish", "; did you mean v2?")
    'no such version; did you mean v2?; next: halflife models publish'
    """
    said, advice, command = message.partition("; next: ")
    return f"{said}{hint}{advice}{command}"


def likely(given: object, allowed: str) -> str:
    """The end of a message about a value: the nearest of those that `allowed` lists, or begins with; empty where none
    is near, where it lists none, or has a hint itself.

    >>> likely("parqet", "csv, parquet or json"), likely("latst", "earliest, latest or an RFC 3339 time")
    ('; did you mean parquet?', '; did you mean latest?')
    >>> likely("parqet", "a path or URI"), likely(3, "1, 2")
    ('', '')
    """
    if not isinstance(given, str) or "did you mean" in allowed:
        return ""
    return did_you_mean(given, _choices_in(allowed))


def _choices_in(allowed: str) -> list[str]:
    listed = _HINT.sub("", allowed)
    if "://" in listed:
        return []
    items = re.split(_AND, re.sub(r"^(one|some) of ", "", listed.removesuffix(".")))
    values = list(takewhile(re.compile(_ITEM).fullmatch, items))
    return [each.strip("'\"") for each in values] if len(values) > 1 else []


def did_you_mean(given: str, known: Iterable[str], quote: str = "") -> str:
    """The end of a message about an unknown name: the known one that is nearest to it; empty where none is.

    >>> did_you_mean("lable", ["label", "time"], QUOTE)
    "; did you mean 'label'?"
    """
    return meant(nearest(given, known), quote)
