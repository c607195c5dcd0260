"""The policy of a rollout: from a document to a frozen value; errors have a path, a value and what is allowed."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from schemas.keys import defaults_of
from schemas.problems import Problems
from schemas.times import MalformedTime, parse_duration_us
from schemas.validation import MISSING, Absent, SpecError, all_errors

SCHEMA = "rollout"
SHADOW = 0.0
"""The share of a version that scores and does not answer."""
_DEFAULTS = defaults_of(SCHEMA)


@dataclass(frozen=True, slots=True)
class PolicyStep:
    """One step: the share of events that the version answers (0: as a shadow, 1: as champion), and what must be there
    before it is left. Durations in microseconds."""

    share: float
    margin: float
    least_n: int
    least_us: int

    def __str__(self) -> str:
        return "shadow" if self.share == SHADOW else f"{self.share:.6%}".rstrip("0%").rstrip(".") + "%"


@dataclass(frozen=True, slots=True)
class Guarded:
    """A metric with the difference beyond which the version is stopped; `sign` is -1 where higher values are better."""

    metric: str
    sign: int
    margin: float


@dataclass(frozen=True, slots=True)
class Policy:
    """How one version is to become champion (`schemas/json/rollout.schema.json`); durations in microseconds."""

    name: str
    version: str
    metric: Guarded
    steps: tuple[PolicyStep, ...]
    error_rate: float
    method: str
    bounds: tuple[float, float] | None
    most_n: int | None
    most_us: int | None
    at_most: str
    looks: int | None
    spending: str
    least_n_of_stop: int
    guardrails: tuple[Guarded, ...]
    coverage: float
    wait_us: int
    recurring: bool
    split_on: str
    approve: str
    document: Mapping[str, Any] = field(compare=False, repr=False)

    @property
    def id(self) -> str:
        """16 hex digits of the policy with its version: another text of the same meaning has the same."""
        stated = json.dumps(self.document, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(stated.encode()).hexdigest()[:16]

    @property
    def rate_of_each(self) -> float:
        """The error rate of the metric, and of each guardrail: together they are wrong as often as declared."""
        return self.error_rate / (1 + len(self.guardrails))

    @property
    def tuned_n(self) -> int:
        """About how many events the intervals are made narrowest for."""
        return 2 * min(step.least_n for step in self.steps)

    def awaits(self, step: int) -> bool:
        """Whether a person must agree before this step (1 is the first) is begun."""
        return self.approve == "always" or (self.approve == "last" and step == len(self.steps))


def read_policy(document: object, version: str | None = None) -> Policy:
    """The policy of a document; `version` stands for the one that it names.

    Raises:
        SpecError: something in it is not allowed; all that is wrong is named.
    """
    problems = Problems()
    problems.add(all_errors(document, SCHEMA))
    if isinstance(document, Mapping):
        problems.add(_contradictions(document, problems.sound))
        if version is None and "version" not in document:
            problems.add([SpecError("version", MISSING, "a version's name here, or --version NAME")])
    problems.check()
    assert isinstance(document, Mapping)  # the schema holds it
    return _policy({**document, **({} if version is None else {"version": version})})


def _contradictions(stated: Mapping[str, Any], sound: Any) -> Iterator[SpecError]:
    """What the schema cannot express."""
    if sound("steps"):
        yield from _errors_of_steps(stated["steps"])
    if sound("method") and stated.get("method", "asymptotic") != "asymptotic" and "bounds" not in stated:
        yield SpecError("bounds", MISSING, f"the bounds of an event's contribution, which {stated['method']} needs")
    bounds = stated.get("bounds")
    if bounds is not None and sound("bounds") and bounds[0] >= bounds[1]:
        yield SpecError("bounds", bounds, "a list of two numbers, the lower one first")
    planned = sound("promote") and stated.get("promote", {}).get("by") == "group_sequential"
    if planned and sound("maximum") and "n" not in stated.get("maximum", {}):
        yield SpecError("maximum.n", MISSING, "the greatest number of events, which group_sequential needs")


def _errors_of_steps(steps: list[Mapping[str, Any]]) -> Iterator[SpecError]:
    shares = [_share(each["share"]) for each in steps]
    for index, (before, share) in enumerate(pairwise(shares), 1):
        if share <= before:
            yield SpecError(f"steps[{index}].share", steps[index]["share"], f"more than {steps[index - 1]['share']}")
    if steps[0]["share"] in ("0%", "0.0%"):
        yield SpecError("steps[0].share", steps[0]["share"], "shadow, or a percentage above 0%")
    if shares[-1] != 1:
        yield SpecError(f"steps[{len(steps) - 1}].share", steps[-1]["share"], "100%, the last step: the champion")


def _share(text: str) -> float:
    return SHADOW if text == "shadow" else float(text[:-1]) / 100


def _policy(stated: Mapping[str, Any]) -> Policy:
    whole = {key: value for key, value in _DEFAULTS.items() if "." not in key} | dict(stated)
    maximum, promote, stop, labels = (_section(whole, name) for name in ("maximum", "promote", "stop", "labels"))
    bounds = whole.get("bounds")
    return Policy(
        name=whole["rollout"],
        version=whole["version"],
        metric=Guarded(whole["metric"], _sign(whole["direction"]), float(stop["margin"])),
        steps=tuple(_step(whole, each, f"steps[{index}]") for index, each in enumerate(whole["steps"])),
        error_rate=float(whole["error_rate"]),
        method=whole["method"],
        bounds=None if bounds is None else (float(bounds[0]), float(bounds[1])),
        most_n=maximum.get("n"),
        most_us=_duration(maximum["duration"], "maximum.duration") if "duration" in maximum else None,
        at_most=maximum["then"],
        looks=promote["looks"] if promote["by"] == "group_sequential" else None,
        spending=promote["spending"],
        least_n_of_stop=stop["n"],
        guardrails=tuple(_guardrail(each) for each in whole.get("guardrails", ())),
        coverage=float(labels["coverage"]),
        wait_us=_duration(labels["wait"], "labels.wait"),
        recurring=whole["clusters"] == "recurring",
        split_on=whole["split_on"],
        approve=whole["approve"],
        document=whole,
    )


def _section(whole: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A section with the defaults of the keys that it does not state."""
    own = {path.partition(".")[2]: value for path, value in _DEFAULTS.items() if path.startswith(f"{name}.")}
    return own | dict(whole.get(name) or {})


def _step(whole: Mapping[str, Any], step: Mapping[str, Any], path: str) -> PolicyStep:
    minimum = _section(whole, "minimum") | dict(step.get("minimum") or {})
    where = f"{path}.minimum.duration" if "duration" in step.get("minimum", {}) else "minimum.duration"
    margin, least_us = float(step.get("margin", whole["margin"])), _duration(minimum["duration"], where)
    return PolicyStep(_share(step["share"]), margin, minimum["n"], least_us)


def _guardrail(stated: Mapping[str, Any]) -> Guarded:
    return Guarded(stated["metric"], _sign(stated.get("direction", "lower")), float(stated["margin"]))


def _sign(direction: str) -> int:
    return -1 if direction == "higher" else 1


def _duration(text: str, path: str) -> int:
    try:
        return parse_duration_us(text)
    except MalformedTime as error:
        raise SpecError(path, Absent(str(text)[:80]), error.allowed) from None
