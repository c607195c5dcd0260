"""The summary of a run, in counts that must add up."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from pipeline.reporting import durable
from pipeline.reporting.outcomes import Examples, RunFailed, release_outcomes
from pipeline.reporting.printer import print_line
from pipeline.reporting.quality_counts import drift_counts, drift_rows, quality_counts, quality_rows
from pipeline.spec.sections.retraining import without_secrets_of_hook
from schemas.dead_letter_stages import DECODE, OF_EVENTS, STAGES, Stage
from schemas.errors import HalflifeError
from transforms.flow import metrics


class SummaryUnwritable(HalflifeError):
    """The file of `--summary` cannot be written; the message names it."""


class CountsDoNotAdd(RunFailed):
    """Records went missing or were invented between two stages; the message has the figures."""


def summarise(
    counts: Mapping[str, int],
    seconds: float,
    startup_seconds: float,
    job: Mapping[str, Any],
    run_id: str,
    examples: Examples | None = None,
) -> dict[str, Any]:
    """The summary document (docs/design.md §9) from the job's counters.

    `seconds` is wall time from the start of the process, `startup_seconds` the part before the first event is
    decoded plus the admission of models.
    """
    decoded = counts.get(metrics.EVENTS_DECODED, 0)
    steady = max(seconds - startup_seconds, 1e-9)
    letters, before = metrics.letters_by_stage(counts, STAGES), _letters_before(counts)
    return {
        "run": run_id,
        "records_read": counts.get(metrics.RECORDS_READ, 0),
        "decoded": decoded,
        "skipped": metrics.by_rest(metrics.RECORDS_SKIPPED_PREFIX, counts),
        "filtered": counts.get(metrics.EVENTS_FILTERED, 0),
        "scored": counts.get(metrics.EVENTS_SCORED, 0),
        "receipts": counts.get(metrics.RECEIPTS_WRITTEN, 0),
        "dead_letters": {stage: n - before[stage] for stage, n in letters.items()},
        "done_before": {"events": counts.get(metrics.EVENTS_DONE_BEFORE, 0), "dead_letters": before},
        "late": counts.get(metrics.EVENTS_LATE, 0),
        "without_row": metrics.by_rest(metrics.WITHOUT_ROW_PREFIX, counts),
        "features_over_limit": metrics.by_rest(metrics.OVER_LIMIT_PREFIX, counts),
        "unseen_categories": metrics.by_names(metrics.UNSEEN_PREFIX, counts),
        "records_deleted": metrics.by_rest(metrics.RECORDS_DELETED_PREFIX, counts),
        "versions": _versions(counts),
        "releases": _by_release(counts),
        "releases_admitted": counts.get(metrics.RELEASES_ADMITTED, 0),
        "releases_refused": counts.get(metrics.RELEASES_REFUSED, 0),
        "release_outcomes": release_outcomes(counts, examples or {}),
        "dead_letter_errors": metrics.by_names(metrics.LETTER_ERRORS_PREFIX, counts),
        "quality": quality_counts(counts),
        "drift": drift_counts(counts),
        "reasons": {
            "computed": counts.get(metrics.REASONS_COMPUTED, 0),
            "dropped": counts.get(metrics.REASONS_DROPPED, 0),
            "failed": counts.get(metrics.REASONS_FAILED, 0),
        },
        "shadow_scores_failed": counts.get(metrics.SHADOW_SCORES_FAILED, 0),
        "seconds": round(seconds, 3),
        "events_per_second": round(decoded / seconds, 1) if seconds else 0.0,
        "timing": {
            "startup_seconds": round(startup_seconds, 3),
            "steady_seconds": round(steady, 3),
            "steady_events_per_second": round(decoded / steady, 1),
        },
        "job": without_secrets_of_hook(job),
    }


def _versions(counts: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Scores by version and role."""
    versions: dict[str, dict[str, int]] = {}
    for role, scored in metrics.by_names(metrics.SCORES_PREFIX, counts).items():
        for version, number in scored.items():
            versions.setdefault(version, {})[role] = number
    return versions


def _by_release(counts: Mapping[str, int]) -> dict[str, int]:
    answered = metrics.by_rest(metrics.RELEASE_PREFIX, counts)
    return {sequence: answered[sequence] for sequence in sorted(answered, key=int)}


def _letters_before(counts: Mapping[str, int]) -> dict[Stage, int]:
    """By stage the dead letters that earlier runs have written already (`--only_new`)."""
    found = metrics.by_rest(metrics.LETTERS_BEFORE_PREFIX, counts)
    return {stage: sum(n for name, n in found.items() if name.partition("/")[0] == stage) for stage in STAGES}


def check_counts(summary: Mapping[str, Any]) -> None:
    """Input records = decoded + skipped + dead letters of decode; decoded = filtered + scored + dead letters of the
    later stages. What earlier runs have done already is on the right of both.

    Raises:
        CountsDoNotAdd: they are not equal.
    """
    done = summary["done_before"]
    letters = {stage: n + done["dead_letters"][stage] for stage, n in summary["dead_letters"].items()}
    read, decoded, scored = summary["records_read"], summary["decoded"], summary["scored"]
    check_decoded(read, decoded, letters, summary["skipped"])
    later = {stage: letters[stage] for stage in OF_EVENTS}
    filtered = summary["filtered"]
    if decoded != filtered + scored + sum(later.values()) + done["events"]:
        before = f" + {done['events']} done before" if done["events"] else ""
        letters_of = ", ".join(f"{n:,} dead letters of {stage}" for stage, n in later.items())
        said = f"{filtered:,} filtered + {scored:,} scored + {letters_of}{before}"
        raise CountsDoNotAdd(f"{decoded:,} events decoded; expected: {said}")
    answered = sum(n for roles in summary["versions"].values() for role, n in roles.items() if role != "shadow")
    if answered != scored:
        raise CountsDoNotAdd(f"{scored} events scored; expected: as many answers of versions, which are {answered}")


def check_decoded(read: int, decoded: int, letters: Mapping[Stage, int], skipped: Mapping[str, int]) -> None:
    """Raises `CountsDoNotAdd` unless input records = decoded + skipped + dead letters of decode."""
    if read != decoded + sum(skipped.values()) + letters[DECODE]:
        left_out = "".join(f" + {n} {kind}" for kind, n in skipped.items())
        ends = f"{decoded} decoded{left_out} + {letters[DECODE]} dead letters of {DECODE}"
        raise CountsDoNotAdd(f"{read} records read; expected: {ends}")


def lines_of_features(counts: Mapping[str, Any]) -> list[tuple[str, int]]:
    """What is to be said of features that are null since they have too many values, and of tables that have no row, and
    for how many events."""
    over, without = counts["features_over_limit"], counts["without_row"]
    lines = [(f"{name} null, windows.max_values_per_tile exceeded", number) for name, number in over.items()]
    return lines + [(f"without a row of lookup {name}", number) for name, number in without.items()]


def check_summary(path: str) -> None:
    """Checks that the summary can be written, before the run spends time. Raises `SummaryUnwritable`."""
    try:
        durable.check_text(path)
    except OSError as error:
        found = f"--summary: {path} cannot be written: {error.strerror}"
        raise SummaryUnwritable(f"{found}; expected: the path of a file") from None


def write_summary(summary: Mapping[str, Any], path: str) -> None:
    """Writes the summary as JSON, completely or not at all. Raises `OSError` if the file cannot be written."""
    durable.write_text(path, json.dumps(summary, indent=2) + "\n")


def print_summary(summary: Mapping[str, Any], stream: Any = None) -> None:
    """A short table for people."""
    out = stream or sys.stdout
    steady = summary["timing"]["steady_events_per_second"]
    rows = [
        ("records read", f"{summary['records_read']:,}"),
        ("events decoded", f"{summary['decoded']:,}"),
        *((f"skipped, {kind}", f"{n:,}") for kind, n in summary["skipped"].items()),
        *([("filtered by events.where", f"{summary['filtered']:,}")] if summary["filtered"] else []),
        ("events scored", f"{summary['scored']:,}"),
        ("receipts", f"{summary['receipts']:,}"),
        ("late", f"{summary['late']:,}"),
    ]
    if done := summary["done_before"]["events"]:
        rows.insert(2, ("done by earlier runs", f"{done:,}"))
    rows += [(name, f"{n:,}") for name, n in lines_of_features(summary)]
    rows += [(f"dead letters, {stage}", f"{n:,}") for stage, n in summary["dead_letters"].items() if n]
    rows += [(f"deleted before read, {partition}", f"{n:,}") for partition, n in summary["records_deleted"].items()]
    for version, roles in summary["versions"].items():
        rows += [(f"version {version}, {role}", f"{n:,}") for role, n in roles.items()]
    for version, inputs in summary["unseen_categories"].items():
        rows += [(f"{name} of a category that {version} never saw", f"{n:,}") for name, n in inputs.items()]
    rows += quality_rows(summary["quality"])
    rows += drift_rows(summary["drift"]) if summary["job"].get("sinks", {}).get("drift") else []
    if any(summary["reasons"].values()):
        rows.append(("scores with reasons", f"{summary['reasons']['computed']:,}"))
        missed = [("dropped by explain.budget", "dropped"), ("failed", "failed")]
        rows += [(f"reasons {name}", f"{summary['reasons'][key]:,}") for name, key in missed if summary["reasons"][key]]
    if summary["shadow_scores_failed"]:
        rows.append(("scores that shadows failed to give", f"{summary['shadow_scores_failed']:,}"))
    rows += [
        ("releases admitted / refused", f"{summary['releases_admitted']} / {summary['releases_refused']}"),
        ("seconds", f"{summary['seconds']:.1f} ({summary['timing']['startup_seconds']:.1f} of them starting)"),
        ("events per second", f"{summary['events_per_second']:,.0f} (steady {steady:,.0f})"),
    ]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print_line(f"  {name:<{width}}  {value:>12}", out)
