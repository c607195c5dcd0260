"""What `halflife features` did, in counts that must add up."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.reporting.summary import CountsDoNotAdd, check_decoded, lines_of_features
from schemas.dead_letter_stages import DECODE, FEATURES, LABELS
from schemas.times import format_time_us
from transforms.flow import metrics
from transforms.labels.label_join import LABELLED, OUTCOMES
from transforms.labels.time_split import CROSSES_SPLIT, TEST, TRAIN


class Asked(NamedTuple):
    """What a training set is asked to have: labels, and a split at a time (microseconds since 1970)."""

    labels: bool = False
    split_at_us: int | None = None


_EXCLUDED = {
    "no_label": "without a label",
    "null_label": "whose label is null",
    "before_event": "whose labels are of a time before the event",
    "after_horizon": "whose labels came after labels.horizon",
    CROSSES_SPLIT: "before the split, whose label may be known only from then on",
}


def feature_counts(counts: Mapping[str, int], folder: str, run_id: str, asked: Asked) -> dict[str, Any]:
    """What was done; `rows` are in the files of this run, `excluded` says why others are not.

    Raises:
        CountsDoNotAdd: records read and records accounted for differ.
    """
    letters = metrics.letters_by_stage(counts, (DECODE, FEATURES))
    read, decoded = counts.get(metrics.RECORDS_READ, 0), counts.get(metrics.EVENTS_DECODED, 0)
    skipped = metrics.by_rest(metrics.RECORDS_SKIPPED_PREFIX, counts)
    check_decoded(read, decoded, letters, skipped)
    filtered = counts.get(metrics.EVENTS_FILTERED, 0)
    events = decoded - filtered - letters[FEATURES]
    outcomes = metrics.by_rest(metrics.LABEL_OUTCOMES_PREFIX, counts)
    parts = metrics.by_rest(metrics.TRAINING_PARTS_PREFIX, counts)
    excluded = {name: outcomes.get(name, 0) for name in OUTCOMES if asked.labels and name != LABELLED}
    if asked.split_at_us is not None:
        excluded[CROSSES_SPLIT] = parts.get(CROSSES_SPLIT, 0)
    rows = events - sum(excluded.values())
    document = {"run": run_id, "records_read": read, "skipped": skipped, "filtered": filtered, "rows": rows}
    document["dead_letters"] = letters
    document["out"] = folder
    if excluded:
        document["excluded"] = excluded
    if asked.labels:
        document["labels"] = _labels(counts, outcomes, events)
    if asked.split_at_us is not None:
        document["split"] = _split(parts, asked.split_at_us, rows)
    document["dead_letter_errors"] = metrics.by_names(metrics.LETTER_ERRORS_PREFIX, counts)
    document["without_row"] = metrics.by_rest(metrics.WITHOUT_ROW_PREFIX, counts)
    return document | {"features_over_limit": metrics.by_rest(metrics.OVER_LIMIT_PREFIX, counts)}


def _labels(counts: Mapping[str, int], outcomes: Mapping[str, int], events: int) -> dict[str, int]:
    if sum(outcomes.values()) != events:
        raise CountsDoNotAdd(f"{sum(outcomes.values()):,} events have a label or none; expected: {events:,} of them")
    return {
        "read": counts.get(metrics.LABELS_READ, 0),
        "pending": counts.get(metrics.LABELS_PENDING, 0),
        "unreadable": counts.get(metrics.DEAD_LETTERS_PREFIX + LABELS, 0),
        "events_labelled": outcomes.get(LABELLED, 0),
        "events_with_several": counts.get(metrics.LABELS_REPEATED, 0),
        "events_with_contradictions": counts.get(metrics.LABELS_CONTRADICTED, 0),
        "without_event": counts.get(metrics.LABELS_WITHOUT_EVENT, 0),
    }


def _split(parts: Mapping[str, int], at_us: int, rows: int) -> dict[str, Any]:
    found = {part: parts.get(part, 0) for part in (TRAIN, TEST)}
    if sum(found.values()) != rows:
        raise CountsDoNotAdd(f"{sum(found.values()):,} rows are in {TRAIN} and {TEST}; expected: {rows:,}")
    return {"at": format_time_us(at_us), **found}


def feature_lines(counts: Mapping[str, Any]) -> str:
    """The counts of `halflife features` for people."""
    lost = sum(counts["dead_letters"].values())
    left_out = f"{lost:,} dead letters" + (f", {counts['filtered']:,} filtered" if counts["filtered"] else "")
    rows = f"{counts['rows']:,} rows of {counts['records_read']:,} records ({left_out})"
    lines = [f"{rows} in {counts['out']}"]
    if split := counts.get("split"):
        lines.append(f"  {TRAIN}: {split[TRAIN]:,} rows before {split['at']}; {TEST}: {split[TEST]:,} from then on")
    lines += [f"  left out: {n:,} {_EXCLUDED[why]}" for why, n in counts.get("excluded", {}).items() if n]
    lines += _label_lines(counts.get("labels", {}))
    return "\n".join([*lines, *(f"{what}: {n:,}" for what, n in lines_of_features(counts))])


def _label_lines(labels: Mapping[str, int]) -> list[str]:
    if not labels:
        return []
    told = {
        "pending": "not known yet (without a time)",
        "unreadable": "unreadable (dead letters of stage labels)",
        "without_event": "of no event that was read",
        "events_with_several": "events have several labels, all of one value",
        "events_with_contradictions": "events have labels of several values, of which the latest counts",
    }
    more = [f"{labels[name]:,} {what}" for name, what in told.items() if labels[name]]
    return ["; ".join([f"  labels: {labels['read']:,} read", *more])]
