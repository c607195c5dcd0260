"""How a CSV file is written, by the vote of its first records: delimiter, decimal sign, encoding.

`csv.Sniffer` of Python's library takes whatever sign is frequent, a letter too; here only signs that programs write
between fields stand for election, and one wins if it cuts the most records into as many fields as the header has.
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from schemas.job import CsvSpec

DELIMITERS = ",;\t|"
_RECORDS = 200
_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+([eE][+-]?[0-9]+)?")
_POINT = re.compile(r"[+-]?[0-9]*\.[0-9]+([eE][+-]?[0-9]+)?")
_BOMS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32",
         b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}  # fmt: skip
_UNICODE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_HIGH = re.compile(rb"[\x80-\xff]")


def with_guesses(head: bytes, stated: CsvSpec) -> CsvSpec:
    """The form of a file that begins with `head`: what is stated, and the rest guessed from its first records.

    >>> with_guesses("größe;preis\\n1,5;2,50\\n".encode("cp1252"), CsvSpec())  # doctest: +NORMALIZE_WHITESPACE
    CsvSpec(delimiter=';', decimal=',', quote='"', header=True, nulls=None, encoding='cp1252')
    """
    encoding = stated.encoding or _encoding(head)
    text = head.decode(encoding, "replace").removeprefix("\ufeff")
    whole = text.rpartition("\n")[0] or text  # the last line may be cut
    delimiter = stated.delimiter or _delimiter(whole, stated.quote)
    decimal = stated.decimal or _decimal(_records(whole, delimiter, stated.quote), delimiter)
    return CsvSpec(delimiter, decimal, stated.quote, stated.header, stated.nulls, encoding)


def _encoding(head: bytes) -> str:
    """By the byte order mark; else UTF-8, unless more of what is not ASCII is not UTF-8 than is: then Windows' own."""
    for mark, name in _BOMS.items():
        if head.startswith(mark):
            return name
    bare, characters = _UNICODE.subn(b"", head)
    return "cp1252" if len(_HIGH.findall(bare[:-3])) > characters else "utf-8"


def _records(text: str, delimiter: str, quote: str) -> list[list[str]]:
    quoting: dict[str, Any] = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    found = list[list[str]]()
    try:
        for record in csv.reader(text.splitlines(keepends=True), delimiter=delimiter, **quoting):
            if record:
                found.append(record)
            if len(found) == _RECORDS:
                break
    except csv.Error:  # a field that never ends, or NUL
        pass
    return found


def _delimiter(text: str, quote: str) -> str:
    def votes(delimiter: str) -> tuple[float, int]:
        records = _records(text, delimiter, quote)
        fields = len(records[0]) if records else 0
        agreeing = sum(len(record) == fields for record in records)
        return (agreeing / len(records) if fields > 1 else 0.0, fields)

    best = max(DELIMITERS, key=votes)
    return best if votes(best)[0] > 0 else ","


def _decimal(records: Sequence[Sequence[str]], delimiter: str) -> str:
    if delimiter == ",":
        return "."
    signs = Counter[str]()
    for record in records[1:]:
        for field in map(str.strip, record):
            signs["," if _COMMA.fullmatch(field) else "." if _POINT.fullmatch(field) else ""] += 1
    return "," if signs[","] > signs["."] else "."
