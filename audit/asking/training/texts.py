"""The texts and numbers of a document, as texts."""

from collections.abc import Iterable, Mapping
from typing import Any


def texts_in(document: Any) -> Iterable[str]:
    """All texts and numbers of a JSON document, as texts; of objects the values.

    >>> list(texts_in({"id": 1, "of": [{"name": "ann"}, None]}))
    ['1', 'ann']
    """
    if isinstance(document, Mapping):
        document = list(document.values())
    if isinstance(document, list):
        for each in document:
            yield from texts_in(each)
    elif document is not None:
        yield str(document)
