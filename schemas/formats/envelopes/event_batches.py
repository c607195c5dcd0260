"""CloudEvents in batches: a JSON array of events as the value of one record of a topic."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from schemas.formats.envelopes.kinds import CLOUDEVENTS

_DECODER = msgspec.json.Decoder(list[msgspec.Raw])
_Origin = TypeVar("_Origin")


def unbatched(
    values: Sequence[bytes], origins: Sequence[_Origin], format_name: str, envelope: str | None
) -> tuple[list[bytes], list[_Origin]]:
    """The values of records with each event of a batch as a value of its own, with the origin of its record.

    What is no array, or a damaged or empty one, stays as it is; so does everything that is no CloudEvent in JSON.

    >>> unbatched([b'[{"id": 1}, {"id": 2}]', b'{"id": 3}', b"[]"], "abc", "json", "cloudevents")
    ([b'{"id": 1}', b'{"id": 2}', b'{"id": 3}', b'[]'], ['a', 'a', 'b', 'c'])
    """
    if envelope != CLOUDEVENTS or format_name != "json" or not any(map(_is_array, values)):
        return list(values), list(origins)
    pairs = [(event, origin) for value, origin in zip(values, origins, strict=True) for event in _events(value)]
    return [event for event, _ in pairs], [origin for _, origin in pairs]


def _is_array(value: bytes) -> bool:
    return value[:64].lstrip()[:1] == b"["


def _events(value: bytes) -> list[bytes]:
    if not _is_array(value):
        return [value]
    try:
        return [bytes(event) for event in _DECODER.decode(value)] or [value]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [value]  # its decoder says what is wrong with it
