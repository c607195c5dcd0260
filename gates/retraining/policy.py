"""What a retraining costs, what a lost unit of loss is worth, and when advice is given: the job's `retraining`."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.keys import defaults_of
from schemas.times import parse_duration_us

SECTION = "retraining"
_DEFAULTS = {
    path.removeprefix(f"{SECTION}."): value
    for path, value in defaults_of("job").items()
    if path.startswith(f"{SECTION}.")
}
_MEANING = (
    *("price", "price_of_event", "value", "metric", "pays_within", "error_rate", "minimum", "coverage", "reference"),
    "recent",
)


@dataclass(frozen=True, slots=True)
class RetrainingPolicy:
    """When a retraining pays; durations in microseconds, money in `unit`, which is the spec's own word.

    `price`: of one retraining, and `price_of_event` of each labelled event that it is trained on; `value`: of one unit
    of loss of one event; None: not declared. `pays_us`: how long a new version is held to be better.
    """

    price: float | None
    price_of_event: float
    value: float | None
    unit: str
    metric: str
    pays_us: int
    error_rate: float
    least_n: int
    coverage: float
    reference: float | None
    most_ids: int
    again_us: int
    recent_us: int
    document: Mapping[str, Any] = field(compare=False, repr=False)

    @property
    def id(self) -> str:
        """16 hex digits of what decides: where a hook is, or how many ids are listed, changes nothing."""
        stated = {key: self.document.get(key) for key in _MEANING}
        return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()[:16]


def retraining_policy(section: Mapping[str, Any] | None) -> RetrainingPolicy:
    """The policy of the section `retraining` of a valid spec, with defaults for what it does not state.

    >>> retraining_policy({"price": 40}).price, retraining_policy(None).value
    (40.0, None)
    """
    own = {key: value for key, value in _DEFAULTS.items() if "." not in key} | dict(section or {})
    return RetrainingPolicy(
        price=_number(own.get("price")),
        price_of_event=float(own["price_of_event"]),
        value=_number(own.get("value")),
        unit=str(own.get("unit", "")),
        metric=own["metric"],
        pays_us=parse_duration_us(own["pays_within"]),
        error_rate=float(own["error_rate"]),
        least_n=own["minimum"],
        coverage=float(own["coverage"]),
        reference=_number(own.get("reference")),
        most_ids=own["score_ids"],
        again_us=parse_duration_us(own["again"]),
        recent_us=parse_duration_us(own["recent"]),
        document={key: value for key, value in own.items() if key != "hook"},
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
