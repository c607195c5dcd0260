"""The sinks of a document: one URI each, of the audit also several."""

from collections.abc import Iterator, Mapping
from typing import Any

_FORMAT = "format"


def uris_of(value: Any) -> tuple[str, ...]:
    """The URIs of a sink, which may be a list of them; what is no text is left out.

    >>> uris_of("out/audit"), uris_of(["out/audit", "kafka://host:9092/audit"]), uris_of(None)
    (('out/audit',), ('out/audit', 'kafka://host:9092/audit'), ())
    """
    return tuple(each for each in (value if isinstance(value, list | tuple) else [value]) if isinstance(each, str))


def sink_uris(document: Mapping[str, Any]) -> dict[str, str]:
    """The URI of each sink of a document, which may be wrong, by its path in it.

    >>> sink_uris({"sinks": {"scores": "a", "audit": ["b", "c"], "format": "avro"}})
    {'sinks.scores': 'a', 'sinks.audit[0]': 'b', 'sinks.audit[1]': 'c'}
    """
    return {path: holder[key] for path, holder, key in sink_holders(document)}


def sink_holders(document: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Where the URIs of sinks are: the path in the document, the mapping or list that holds it, and its key there."""
    sinks = document.get("sinks")
    for name, value in sinks.items() if isinstance(sinks, Mapping) else ():
        if name == _FORMAT:
            continue
        if isinstance(value, list):
            yield from ((f"sinks.{name}[{n}]", value, n) for n, each in enumerate(value) if isinstance(each, str))
        elif isinstance(value, str):
            yield f"sinks.{name}", sinks, name
