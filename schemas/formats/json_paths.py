"""JSON objects with the values that lie within others: `user.address.zip` as a key of the object itself.

A record is taken apart into the bytes of its values and put together again with the wanted ones, before it is read:
so a value by its path is read by the same rule, and refused in the same words, as one of the object itself.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

import msgspec

from schemas.formats.envelopes.json_envelopes import Fields, fields_of, opened
from schemas.formats.envelopes.kinds import Headers, MalformedEnvelope, SkippedRecord
from schemas.formats.raw import Unreadable

_ENCODER = msgspec.json.Encoder()


def has_paths(names: Collection[str]) -> bool:
    """Whether one of the names may be a path."""
    return any("." in name for name in names)


class FlatTexts(NamedTuple):
    """Objects with the wanted values alone (`lines`), the bytes of each record that they were made of (`originals`),
    the records of which none could be made, and how many were left out, by what they are."""

    lines: list[bytes]
    originals: list[bytes]
    unreadable: tuple[Unreadable, ...] = ()
    skipped: tuple[tuple[str, int], ...] = ()


class JsonPaths:
    """Finds columns in objects: the key of exactly that name, else, where the name has dots, a path into objects.

    `envelope`: the one that each object is in, of `envelopes.kinds.ENVELOPES`; None where it is in none.
    """

    def __init__(self, names: Collection[str], envelope: str | None = None) -> None:
        self._envelope = envelope
        self._plan = tuple(
            (_ENCODER.encode(name) + b":", name, tuple(name.split(".")) if "." in name else ()) for name in names
        )

    def flat(self, texts: Sequence[bytes], headers: Sequence[Headers] = ()) -> FlatTexts:
        """Each object with the wanted values alone, on one line; what is no object as it is.

        Args:
            headers: those of each record on a topic; none in files.

        >>> objects = [b'{"id": 1, "user": {"zip": "7", "x": 0}}', b'{"user.zip": 8, "user": {}}']
        >>> JsonPaths(["id", "user.zip"]).flat(objects).lines
        [b'{"id":1,"user.zip":"7"}', b'{"user.zip":8}']
        """
        lines, originals, unreadable = list[bytes](), list[bytes](), list[Unreadable]()
        skipped = Counter[str]()
        for text, each in zip_longest(texts, headers, fillvalue=()):
            try:
                line = self._flat(bytes(text), each)
            except MalformedEnvelope as fault:
                unreadable.append(Unreadable(bytes(text), type(fault).__name__, str(fault), headers=tuple(each)))
                continue
            if isinstance(line, SkippedRecord):
                skipped[line.kind] += 1
                continue
            lines.append(line)
            originals.append(bytes(text))
        return FlatTexts(lines, originals, tuple(unreadable), tuple(skipped.items()))

    def fields(self, text: bytes, headers: Headers = ()) -> Fields:
        """The values of a record; the wanted ones that lie within others are there by their path too. None of a record
        that is no event.

        Raises what `opened` raises.
        """
        fields = self._opened(text, headers)
        if isinstance(fields, SkippedRecord):
            return {}
        return {**fields, **{name: msgspec.Raw(value) for _, name, value in self._found(fields)}}

    def _opened(self, text: bytes, headers: Headers) -> Fields | SkippedRecord:
        return fields_of(text) if self._envelope is None else opened(text, self._envelope, headers)

    def _flat(self, text: bytes, headers: Headers) -> bytes | SkippedRecord:
        try:
            fields = self._opened(text, headers)
            if isinstance(fields, SkippedRecord):
                return fields
            pieces = [key + value for key, _, value in self._found(fields)]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return text  # its own decoder says what is wrong with it
        whole = b"{" + b",".join(pieces) + b"}"
        return whole.replace(b"\n", b" ") if b"\n" in whole else whole  # no text of JSON holds a line end

    def _found(self, fields: Fields) -> Iterator[tuple[bytes, str, bytes]]:
        """The wanted values that are there: the key as JSON, the name, the value's bytes."""
        inner = dict[tuple[str, ...], Fields]()
        for key, name, path in self._plan:
            value = fields.get(name)
            if value is None and path:
                value = _within(fields, path, inner)
            if value is not None:
                yield key, name, bytes(value)


def _within(fields: Fields, path: tuple[str, ...], opened: dict[tuple[str, ...], Fields]) -> msgspec.Raw | None:
    """The value at a path; None where there is none. `opened`: the objects of this record that were looked into."""
    for depth in range(1, len(path)):
        inner = opened.get(path[:depth])
        if inner is None:
            value = fields.get(path[depth - 1])
            is_object = value is not None and bytes(value).lstrip()[:1] == b"{"
            inner = opened[path[:depth]] = fields_of(value) if is_object and value is not None else {}
        fields = inner
    return fields.get(path[-1])
