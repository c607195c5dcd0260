"""The labels by which a run, or a replay, measures quality: opened where the spec has them and they are needed."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipeline.endpoints.errors import NoInput
from pipeline.endpoints.labels.label_source import LabelSource, open_labels
from pipeline.endpoints.sources import Files
from pipeline.reporting.printer import note
from pipeline.spec.job import events_spec
from pipeline.spec.sections.concept_drift import check_detectors
from schemas.job import EventsSpec, LabelsSpec
from schemas.validation import MISSING, SpecError


def labels_to_measure(document: Mapping[str, Any], bounded: bool) -> LabelSource | None:
    """The labels of a resolved spec whose events are opened; None where quality is not measured, and where no label is
    there yet, which is noted: it is no reason not to score. A job that compares groups needs none for how many are
    selected. `bounded`: whether the events end.

    Raises:
        SpecError: a value that is not allowed, for a stream also a horizon that is not stated; or
            the library of detectors that it names is not installed.
        OSError: the labels cannot be read.
    """
    stated, compares = document.get("labels"), "fairness" in document
    if "quality" not in document.get("sinks", {}) or not (stated or compares):
        return None
    if not stated:
        return _no_labels(document, bounded)
    if not bounded and "horizon" not in stated:
        why = "a stream holds each answer so long for its label"
        raise SpecError("labels.horizon", MISSING, f"a duration, such as 30d ({why})")
    check_detectors(document)
    found = _opened(document, "sinks.quality", endless=not bounded)
    return _no_labels(document, bounded) if found is None and compares else found


def labels_of_replay(document: Mapping[str, Any]) -> LabelSource | None:
    """The labels that a replay compares its scores with; None where the spec has none, and where none is there, which
    is noted. Raises as `labels_to_measure`."""
    return _opened(document, "replay", endless=False) if document.get("labels") else None


def _opened(document: Mapping[str, Any], asked_by: str, endless: bool) -> LabelSource | None:
    try:
        return open_labels(document, asked_by, endless=endless)
    except NoInput as error:
        note(f"note: {error}; no quality is measured, only how versions that score the same events differ")
        return None


def _no_labels(document: Mapping[str, Any], bounded: bool) -> LabelSource:
    """What a job that compares groups reads where it has no label: nothing. Selection needs none."""
    records = {name: document["events"][name] for name in ("uri", "event_id", "event_time")} | {"format": "json"}
    spec = LabelsSpec(events_spec(records, {"label": "boolean"}), None, None if bounded else 0)
    return LabelSource(spec, Files(records["uri"], "json", ()), empty=True)


def hidden_as(labels: LabelsSpec, events: EventsSpec) -> LabelsSpec:
    """Labels whose dead letters are hidden as those of a job's events are."""
    privacy = events.privacy
    if privacy is None:
        return labels
    own = replace(privacy, hide=(*privacy.hide, labels.records.event_id)) if events.hides_ids else privacy
    return replace(labels, records=replace(labels.records, privacy=own))
