"""The text of a first job's spec: YAML with a comment for each decision."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.first_job.found_times import TimeForm, explicit_form
from pipeline.first_job.proposal import Proposal
from schemas.batches import ROW_HASH

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_KEYWORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def spec_text(made: Proposal, name: str) -> str:
    """The job `name` over the data, as its file `job.yaml`."""
    return "\n".join(_lines(made, name)) + "\n"


def _lines(made: Proposal, name: str) -> Iterator[str]:
    why = {answer.name: answer.why for answer in made.decisions.made}
    yield "# Made by `halflife init`, and yours from now on; docs/job.md lists all keys."
    yield f"job: {_scalar(name)}"
    yield "events:"
    ends = "" if made.look.files else "until=latest ends a run; without it the job follows the topic"
    yield f"  uri: {_scalar(made.look.uri)}{_because(ends)}"
    for key, value in _events(made).items():
        yield f"  {key}: {_value(value)}{_because(why.get(key, ''))}"
    if made.event_id == ROW_HASH:
        yield "  # Records that are equal in all columns are one event: one is scored, the others are dead letters."
    yield from _features(made)
    yield f"model: {{name: {_scalar(name)}, store: models}}"
    if made.label is not None:
        yield from _labels(made, why)
    yield "sinks:"
    for sink in ("scores", "audit", "drift", "dead_letters"):
        yield f"  {sink}: out/{sink}"


def _events(made: Proposal) -> dict[str, Any]:
    found = {key: made.look.events[key] for key in ("format", "csv", "envelope") if made.look.events.get(key)}
    found |= {"event_id": made.event_id, "event_time": made.event_time, **_form(made.form)}
    if made.zone != "UTC":
        found |= {"time_zone": made.zone, "time_ambiguous": "earlier"}
    if made.subject is not None:
        found["subject"] = made.subject
    return found


def _form(form: TimeForm) -> dict[str, str]:
    unit = {"time_unit": form.time_unit} if form.time_unit != "us" else {}
    return unit | ({"time_format": form.time_format} if form.time_format else {})


def _features(made: Proposal) -> Iterator[str]:
    yield "features:"
    for column in made.chosen.columns:
        yield f"  - {_scalar(column)}"
    for windowed in made.chosen.windowed:
        yield f"  - {_value(windowed)}"
    for column, why in made.chosen.left_out.items():
        yield f"  # not {column}: {why}".replace("\n", " ")


def _labels(made: Proposal, why: Mapping[str, str]) -> Iterator[str]:
    assert made.label is not None
    yield "labels:" + _because(why.get("label", ""))
    yield f"  uri: {_scalar(made.look.uri)}"
    yield f"  event_id: {_scalar(made.event_id)}"
    later = made.label.later
    yield f"  event_time: {_scalar(later or made.event_time)}{_because(why.get('label_time', ''))}"
    if later is not None:
        for key, value in label_form(made, later).items():
            yield f"  {key}: {_scalar(value)}"
    yield f"  column: {_scalar(made.label.column)}"
    if made.label.positive is not None:
        yield f"  positive: {_scalar(made.label.positive)}{_because(why.get('positive', ''))}"


def label_form(made: Proposal, later: str) -> dict[str, str]:
    """How the times of labels are written, where that is not as those of the events."""
    form = made.times[later]
    found = {} if form.time_unit == made.form.time_unit else {"time_unit": form.time_unit}
    if form.time_format == made.form.time_format:
        return found
    stated = form.time_format or explicit_form(made.look.table[later]) or "date"
    return found | {"time_format": stated}


def _because(why: str) -> str:
    return f"  # {why}".replace("\n", " ") if why else ""


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_scalar(each)}" for key, each in value.items()) + "}"
    return _scalar(value)


def _scalar(value: Any) -> str:
    """JSON is YAML: what is no plain word is quoted."""
    plain = isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _KEYWORDS
    return str(value) if plain else json.dumps(value, ensure_ascii=False)
