"""The facts about a run's start: its id, who started it, and the spec as it may be shown."""

import json
from collections.abc import Mapping
from typing import Any

from models.redaction import hide_secrets, hide_values
from pipeline.command_line.parsing import actor
from pipeline.spec.sections.retraining import without_secrets_of_hook
from schemas.job import Start


def start_of(document: Mapping[str, Any], run: str | None) -> Start:
    """The start of a job with that resolved spec; without `run` each start from the built graph makes its own id."""
    return Start(run, actor(), json.dumps(public_document(without_secrets_of_hook(document)), ensure_ascii=False))


def public_document(value: Any) -> Any:
    """The document without credentials and queries in URLs and without the values of secret variables."""
    if isinstance(value, Mapping):
        return {key: public_document(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [public_document(inner) for inner in value]
    if isinstance(value, str):  # a path with a question mark is not a URL
        return hide_secrets(value) if "://" in value else hide_values(value)
    return value
