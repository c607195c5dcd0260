"""JSON objects with the values that lie within others: `user.address.zip` as a key of the object itself.

A record is taken apart into the bytes of its values and put together again with the wanted ones, before it is read:
so a value by its path is read by the same rule, and refused in the same words, as one of the object itself.
"""

from collections.abc import Collection, Mapping, Sequence

import msgspec

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCODER = msgspec.json.Encoder()
_Fields = Mapping[str, msgspec.Raw]


def has_paths(names: Collection[str]) -> bool:
    """Whether one of the names may be a path."""
    return any("." in name for name in names)


class JsonPaths:
    """Finds columns in objects: the key of exactly that name, else, where the name has dots, a path into objects."""

    def __init__(self, names: Collection[str]) -> None:
        self._plan = tuple(
            (_ENCODER.encode(name) + b":", name, tuple(name.split(".")) if "." in name else ()) for name in names
        )

    def flat(self, texts: Sequence[bytes]) -> list[bytes]:
        """Each object with the wanted values alone, on one line; what is no object as it is.

        >>> objects = [b'{"id": 1, "user": {"zip": "7", "x": 0}}', b'{"user.zip": 8, "user": {}}']
        >>> JsonPaths(["id", "user.zip"]).flat(objects)
        [b'{"id":1,"user.zip":"7"}', b'{"user.zip":8}']
        """
        return [self._flat(text) for text in texts]

    def _flat(self, text: bytes) -> bytes:
        try:
            fields = _FIELDS.decode(text)
            pieces = self._pieces(fields)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return text  # its own decoder says what is wrong with it
        whole = b"{" + b",".join(pieces) + b"}"
        return whole.replace(b"\n", b" ") if b"\n" in whole else whole  # no text of JSON holds a line end

    def _pieces(self, fields: _Fields) -> list[bytes]:
        pieces, opened = list[bytes](), dict[tuple[str, ...], _Fields]()
        for key, name, path in self._plan:
            value = fields.get(name)
            if value is None and path:
                value = _within(fields, path, opened)
            if value is not None:
                pieces.append(key + bytes(value))
        return pieces


def _within(fields: _Fields, path: tuple[str, ...], opened: dict[tuple[str, ...], _Fields]) -> msgspec.Raw | None:
    """The value at a path; None where there is none. `opened`: the objects of this record that were looked into."""
    for depth in range(1, len(path)):
        inner = opened.get(path[:depth])
        if inner is None:
            value = fields.get(path[depth - 1])
            is_object = value is not None and bytes(value).lstrip()[:1] == b"{"
            inner = opened[path[:depth]] = _FIELDS.decode(value) if is_object and value is not None else {}
        fields = inner
    return fields.get(path[-1])
