"""What came of a run's labels and of the quality that they measure, and what drift counted, in the summary."""

from collections.abc import Mapping
from typing import Any

from schemas.dead_letter_stages import LABELS
from transforms.flow import metrics
from transforms.labels.label_join import OUTCOMES


def quality_counts(counts: Mapping[str, int]) -> dict[str, Any]:
    """The labels that were read, what came of the events that were answered, and how many records there are.

    `unmeasured`: answers that are in no metric, since they came after the first pane of their window, were there twice,
    or were of a version whose manifest could not be read. `classes`: events by a label that is true or false, 0 where
    labels are something else. `changes`: of the errors that labels show, by the detector that saw them.
    """
    outcomes = metrics.by_rest(metrics.LABEL_OUTCOMES_PREFIX, counts)
    labels = {
        "read": metrics.LABELS_READ,
        "pending": metrics.LABELS_PENDING,
        "unreadable": metrics.LABELS_UNREADABLE,
        "without_event": metrics.LABELS_WITHOUT_EVENT,
        "events_with_several": metrics.LABELS_REPEATED,
        "events_with_contradictions": metrics.LABELS_CONTRADICTED,
    }
    unmeasured = {
        "too_late": metrics.QUALITY_ANSWERS_TOO_LATE,
        "repeated": metrics.QUALITY_ANSWERS_REPEATED,
        "manifest_unavailable": metrics.QUALITY_ROWS_UNAVAILABLE,
    }
    return {
        "labels": {name: counts.get(metric, 0) for name, metric in labels.items()},
        "events": {name: outcomes.get(name, 0) for name in OUTCOMES},
        "classes": {"true": counts.get(metrics.LABELS_TRUE, 0), "false": counts.get(metrics.LABELS_FALSE, 0)},
        "unmeasured": {name: counts.get(metric, 0) for name, metric in unmeasured.items()},
        "panes": counts.get(metrics.QUALITY_PANES_MEASURED, 0),
        "records": counts.get(metrics.QUALITY_RECORDS_EMITTED, 0),
        "changes": metrics.by_rest(metrics.CHANGES_SEEN_PREFIX, counts),
    }


def quality_rows(quality: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The same for people: nothing where no label was read."""
    labels, events = quality["labels"], quality["events"]
    if not labels["read"]:
        return []
    told = {
        "labels read": labels["read"],
        "events with a label": events["labelled"],
        "events without one": sum(number for name, number in events.items() if name != "labelled"),
        "labels of no event": labels["without_event"],
        "events with contradicting labels": labels["events_with_contradictions"],
        f"labels unreadable (dead letters, {LABELS})": labels["unreadable"],
    }
    told |= {f"changes of errors seen by {name}": number for name, number in quality["changes"].items()}
    rows = [(name, f"{number:,}") for name, number in told.items() if number]
    return [*rows, *_one_class(quality["classes"])]


def _one_class(classes: Mapping[str, int]) -> list[tuple[str, str]]:
    """That all labels are true, or false: most often `labels.positive` names a value that never comes."""
    true, false = classes["true"], classes["false"]
    if bool(true) == bool(false):
        return []
    is_so, other = ("true", "false") if true else ("false", "true")
    return [(f"events whose label is {other}", f"none: all {true + false:,} are {is_so}; is labels.positive right?")]


def drift_counts(counts: Mapping[str, int]) -> dict[str, Any]:
    """The rows (a version's answer to an event) whose drift was counted, those that were not, by why, and how many
    records there are."""
    unmeasured = {
        "without_profile": metrics.DRIFT_ROWS_WITHOUT_PROFILE,
        "profile_unavailable": metrics.DRIFT_ROWS_PROFILE_UNAVAILABLE,
        "too_late": metrics.DRIFT_ROWS_TOO_LATE,
    }
    return {
        "rows": counts.get(metrics.DRIFT_ROWS_OBSERVED, 0),
        "unmeasured": {name: counts.get(metric, 0) for name, metric in unmeasured.items()},
        "records": counts.get(metrics.DRIFT_STATISTICS_EMITTED, 0),
    }


def drift_rows(drift: Mapping[str, Any]) -> list[tuple[str, str]]:
    """For people what was not measured, and why: a run that measures no drift is not one without drift."""
    told = {
        "drift not measured: no profile": "without_profile",
        "drift not measured: store silent": "profile_unavailable",
        "drift not measured: too late": "too_late",
    }
    return [(name, f"{number:,}") for name, why in told.items() if (number := drift["unmeasured"][why])]
