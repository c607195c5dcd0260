"""The outcome of releases and records, for people and machines; and whether a run that ended is a failure."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from models.releases.release import Release
from pipeline.reporting.limits import Limits
from pipeline.spec.sinks import uris_of
from schemas import times
from schemas.dead_letter_stages import LABELS, UNSERVED
from schemas.errors import HalflifeError
from transforms.flow import metrics
from transforms.flow.dead_letters import DEAD_LETTERS
from transforms.releases.watch_releases import ADMITTED, REFUSED, RELEASES, UNREADABLE

# Of several decisions on one release the last counts: what was incomplete at first may be admitted later.
_LAST = (ADMITTED, UNREADABLE, REFUSED)
_PASSING = "incomplete"
_NAMED = 5
Examples = Mapping[tuple[str, ...], str]


class RunFailed(HalflifeError):
    """The run ended without an error, but its outcome is a failure; the message says why and what to look at."""


def release_outcomes(counts: Mapping[str, int], examples: Examples) -> dict[str, dict[str, str]]:
    """By sequence, in order: `outcome`, and `reason` and `detail` of releases that were not admitted.

    `detail` is set where the run was one process; elsewhere the model events have it.
    """
    found: dict[int, tuple[str, str]] = {}
    for name in metrics.by_rest(metrics.RELEASE_OUTCOME_PREFIX, counts):
        number, outcome, reason = name.split("/", 2)
        new, known = (outcome, reason), found.get(int(number))
        if known is None or _rank(new) < _rank(known):
            found[int(number)] = new
    return {str(number): _outcome(number, *found[number], examples) for number in sorted(found)}


def _rank(decision: tuple[str, str]) -> tuple[int, bool]:
    return _LAST.index(decision[0]), decision[1] == _PASSING


def _outcome(number: int, outcome: str, reason: str, examples: Examples) -> dict[str, str]:
    if outcome == ADMITTED:
        return {"outcome": outcome, "reason": "", "detail": ""}
    return {"outcome": outcome, "reason": reason, "detail": examples.get((RELEASES, str(number), reason), "")}


def unreached(summary: Mapping[str, Any], releases: Sequence[Release], latest_us: int) -> str:
    """A note on admitted releases that take effect later than every event; empty if there are none, or where one
    that was written after them scored events: somebody has decided what serves these.

    `latest_us`: the time of the latest event, rounded up.
    """
    admitted = {key for key, said in summary["release_outcomes"].items() if said["outcome"] == ADMITTED}
    silent = admitted - set(summary["releases"])  # the first release serves earlier events too
    newest = max(map(int, summary["releases"]), default=0)
    unused = [one for one in releases if str(one.sequence) in silent and one.sequence > newest]
    later = [one for one in unused if one.effective_from_us >= latest_us]
    named = [
        f"release {one.sequence} takes effect at {times.format_time_us(one.effective_from_us)}"
        for one in later[:_NAMED]
    ]
    if not named:
        return ""
    more = f" and {len(later) - _NAMED} more" if len(later) > _NAMED else ""
    last = times.format_time_us(latest_us - 1_000_000)
    return (f"note: {', '.join(named)}{more}, later than every event (the last is of {last}), so nothing was scored by "
            f"it; next: halflife models release --from first-event")  # fmt: skip


def outcome_lines(summary: Mapping[str, Any], examples: Examples) -> list[str]:
    """A line for each release that was decided, and one for each kind of dead letter."""
    sinks = summary["job"].get("sinks", {})
    audit, letters = " or ".join(uris_of(sinks.get("audit"))), sinks.get("dead_letters")
    lines = []
    for sequence, said in summary["release_outcomes"].items():
        detail = said["detail"] or (f"see {audit}" if said["reason"] and audit else "")
        because = f": {said['reason']}: {detail}".rstrip(": ") if said["reason"] else ""
        lines.append(f"release {sequence} {said['outcome']}{because}")
    return lines + letter_lines(summary["dead_letter_errors"], letters, examples)


def letter_lines(letters: Mapping[str, Mapping[str, int]], sink: str | None, examples: Examples) -> list[str]:
    """A line for each kind of dead letter: one example, else the sink that holds them."""
    lines = []
    for stage, errors in letters.items():
        for error, number in errors.items():
            example = examples.get((DEAD_LETTERS, stage, error))
            elsewhere = f"see {sink}" if sink else "sinks.dead_letters, which would hold them, is not set"
            where = f"for example: {example}" if example else elsewhere
            lines.append(f"dead letters, {stage}: {number:,} {error}; {where}")
    return lines


def check_outcome(summary: Mapping[str, Any], limits: Limits, examples: Examples) -> str:
    """A note on a run that is not a failure; empty if there is none.

    Raises:
        RunFailed: records were read and none was scored, there are more dead letters than allowed, or no records
            where some are required.
    """
    read = summary["records_read"]
    uri, done = summary["job"]["events"]["uri"], summary["done_before"]
    if not read:
        return _nothing_read(uri, limits)
    before = done["events"] + _of_events(done["dead_letters"])
    read -= before
    if summary["skipped"] and sum(summary["skipped"].values()) == read:
        return _all_skipped(summary["skipped"], limits)
    read -= sum(summary["skipped"].values())
    if not read or (before and read == summary["filtered"]):
        return f"note: nothing is new in {uri}: earlier runs have done all of it"
    if summary["filtered"] == read:
        return _all_filtered(read, limits)
    if not summary["scored"]:
        why = ", ".join([*_most_frequent(summary["dead_letter_errors"]), *_releases_refused(summary)])
        example = _example(summary["dead_letter_errors"], examples)
        raise RunFailed(f"{read:,} records were read and none was scored: {why}{example}")
    _check_letters(read, summary["dead_letters"], limits)
    return ""


def check_rows(counts: Mapping[str, Any], uri: str, limits: Limits, examples: Examples) -> str:
    """As `check_outcome`, for the counts of a training set of the events at `uri`: its rows stand for scores."""
    read, errors = counts["records_read"], counts["dead_letter_errors"]
    if not read:
        return _nothing_read(uri, limits)
    if counts["skipped"] and sum(counts["skipped"].values()) == read:
        return _all_skipped(counts["skipped"], limits)
    read -= sum(counts["skipped"].values())
    if counts["filtered"] == read:
        return _all_filtered(read, limits)
    if not counts["rows"]:
        left_out = [f"{n:,} {why}" for why, n in counts.get("excluded", {}).items() if n]
        why = ", ".join([*_most_frequent(errors), *left_out])
        example = _example(errors, examples) if errors else ""
        raise RunFailed(f"{read:,} records were read and no row was written: {why}{example}")
    _check_letters(read, counts["dead_letters"], limits)
    return ""


def _check_letters(read: int, by_stage: Mapping[str, int], limits: Limits) -> None:
    """Raises `RunFailed` for more dead letters than allowed."""
    letters = _of_events(by_stage)
    most = math.floor(limits.share * read) if limits.share is not None else limits.letters
    if most is not None and letters > most:
        allowed = f"expected: at most {most:,} (--max_dead_letters)"
        raise RunFailed(f"{letters:,} of {read:,} records are dead letters; {allowed}")


def _of_events(letters: Mapping[str, int]) -> int:
    """The number of dead letters that stand for an event: those of labels are of another input."""
    return sum(number for stage, number in letters.items() if stage != LABELS)


def _all_skipped(skipped: Mapping[str, int], limits: Limits) -> str:
    """The note that no record is an event. Raises `RunFailed` where some input is required."""
    said = f"no record is an event: {', '.join(f'{n:,} {kind}' for kind, n in skipped.items())}"
    if limits.require_input:
        raise RunFailed(f"{said}; expected: at least one (--require_input)")
    return f"note: {said}"


def _all_filtered(read: int, limits: Limits) -> str:
    """The note that no event passed the condition. Raises `RunFailed` where some input is required."""
    said = f"events.where is true for none of {read:,} events"
    if limits.require_input:
        raise RunFailed(f"{said}; expected: at least one (--require_input)")
    return f"note: {said}"


def _nothing_read(uri: str, limits: Limits) -> str:
    """The note that bounded input held no record. Raises `RunFailed` where some are required."""
    if limits.require_input:
        raise RunFailed(f"no records were read from {uri}; expected: at least one (--require_input)")
    return f"note: no records were read from {uri}"


def _kinds(errors: Mapping[str, Mapping[str, int]]) -> list[tuple[int, str, str]]:
    """(number, error, stage) of each kind of dead letter, the most frequent first."""
    found = [(number, error, stage) for stage, kinds in errors.items() for error, number in kinds.items()]
    return sorted(found, reverse=True)


def _most_frequent(errors: Mapping[str, Mapping[str, int]]) -> list[str]:
    return [f"{number:,} {error} (stage {stage})" for number, error, stage in _kinds(errors)[:3]]


def _example(errors: Mapping[str, Mapping[str, int]], examples: Examples) -> str:
    """An example of the most frequent kind; empty where none was kept, and for those without a release."""
    _, error, stage = _kinds(errors)[0]
    kept = examples.get((DEAD_LETTERS, stage, error))
    return f"; for example: {kept}" if kept and stage != UNSERVED else ""


def _releases_refused(summary: Mapping[str, Any]) -> list[str]:
    """What is wrong with the releases, where all are refused or there is none."""
    refused = {key: one for key, one in summary["release_outcomes"].items() if one["outcome"] != ADMITTED}
    if refused and len(refused) == len(summary["release_outcomes"]):
        sequence, one = next(iter(refused.items()))
        return [f"every release is refused, such as release {sequence}: {one['reason']}"]
    if not summary["release_outcomes"]:
        model = summary["job"]["model"]
        return [f"model {model['name']} has no release; next: halflife models release --champion VERSION"]
    return []
