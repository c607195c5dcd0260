"""The tables that a job spec names; apart from what is asked of them, which needs Arrow and takes a start longer."""

from collections.abc import Iterator, Mapping
from typing import Any

LOOKUPS = "lookups"


def tables_in(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The tables of all lookups, each with its path, whatever else is wrong with these."""
    found = document.get(LOOKUPS)
    for index, lookup in enumerate(found if isinstance(found, list) else ()):
        if isinstance(lookup, Mapping) and isinstance(lookup.get("table"), dict):
            yield f"{LOOKUPS}[{index}].table", lookup["table"]
