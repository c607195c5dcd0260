"""The outcome of releases and records, for people and machines; and whether a run that ended is a failure."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from models.releases.release import Release
from schemas import times
from schemas.errors import HalflifeError
from schemas.validation import SpecError
from transforms.flow import metrics
from transforms.flow.dead_letters import DEAD_LETTERS
from transforms.releases.watch_releases import ADMITTED, REFUSED, RELEASES, UNREADABLE

# Of several decisions on one release the last counts: what was incomplete at first may be admitted later.
_LAST = (ADMITTED, UNREADABLE, REFUSED)
_PASSING = "incomplete"
_NAMED = 5
_LIMIT = re.compile(r"(\d+)(%?)|(\d+\.\d+)%")
Examples = Mapping[tuple[str, ...], str]


class RunFailed(HalflifeError):
    """The run ended without an error, but its outcome is a failure; the message says why and what to look at."""


class Limits(NamedTuple):
    """How many dead letters a run may have: a number, or a share (0 to 1) of the records; None: any number."""

    letters: int | None = None
    share: float | None = None
    require_input: bool = False


NO_LIMITS = Limits()


def parse_max_letters(text: str | None) -> Limits:
    """`N` or `N%`. Raises `SpecError` for anything else."""
    if text is None:
        return NO_LIMITS
    found = _LIMIT.fullmatch(text)
    share = float(text.rstrip("%")) / 100 if found and text.endswith("%") else None
    if found is None or (share is not None and not (math.isfinite(share) and share <= 1)):
        raise SpecError("--max_dead_letters", text, "a number of records such as 100, or a share such as 0.5%")
    return Limits(share=share) if share is not None else Limits(letters=int(text))


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
    """A note on admitted releases that take effect later than every event; empty if there are none.

    `latest_us`: the time of the latest event, rounded up.
    """
    admitted = {key for key, said in summary["release_outcomes"].items() if said["outcome"] == ADMITTED}
    silent = admitted - set(summary["releases"])  # the first release serves earlier events too
    later = [one for one in releases if str(one.sequence) in silent and one.effective_from_us >= latest_us]
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
    audit, letters = sinks.get("audit"), sinks.get("dead_letters")
    lines = []
    for sequence, said in summary["release_outcomes"].items():
        detail = said["detail"] or (f"see {audit}" if said["reason"] and audit else "")
        because = f": {said['reason']}: {detail}".rstrip(": ") if said["reason"] else ""
        lines.append(f"release {sequence} {said['outcome']}{because}")
    for stage, errors in summary["dead_letter_errors"].items():
        for error, number in errors.items():
            example = examples.get((DEAD_LETTERS, stage, error))
            elsewhere = f"see {letters}" if letters else "sinks.dead_letters, which would hold them, is not set"
            where = f"for example: {example}" if example else elsewhere
            lines.append(f"dead letters, {stage}: {number:,} {error}; {where}")
    return lines


def check_outcome(summary: Mapping[str, Any], limits: Limits) -> str:
    """A note on a run that is no failure; empty if there is none.

    Raises:
        RunFailed: records were read and none was scored, there are more dead letters than allowed, or no records
            where some are required.
    """
    read, letters = summary["records_read"], sum(summary["dead_letters"].values())
    uri, done = summary["job"]["events"]["uri"], summary["done_before"]
    if not read:
        return nothing_read(uri, limits)
    read -= done["events"] + sum(done["dead_letters"].values())
    if not read:
        return f"note: nothing is new in {uri}: earlier runs have done all of it"
    if not summary["scored"]:
        raise RunFailed(f"{read:,} records were read and none was scored: {_why(summary)}")
    most = math.floor(limits.share * read) if limits.share is not None else limits.letters
    if most is not None and letters > most:
        allowed = f"expected: at most {most:,} (--max_dead_letters)"
        raise RunFailed(f"{letters:,} of {read:,} records are dead letters; {allowed}")
    return ""


def nothing_read(uri: str, limits: Limits) -> str:
    """The note that bounded input held no record. Raises `RunFailed` where some are required."""
    if limits.require_input:
        raise RunFailed(f"no records were read from {uri}; expected: at least one (--require_input)")
    return f"note: no records were read from {uri}"


def _why(summary: Mapping[str, Any]) -> str:
    """The most frequent kinds of dead letters, and the releases that were not admitted."""
    kinds = [
        (number, f"{number:,} {error} (stage {stage})")
        for stage, errors in summary["dead_letter_errors"].items()
        for error, number in errors.items()
    ]
    said = [text for _, text in sorted(kinds, reverse=True)[:3]]
    refused = {key: one for key, one in summary["release_outcomes"].items() if one["outcome"] != ADMITTED}
    if refused and len(refused) == len(summary["release_outcomes"]):
        sequence, one = next(iter(refused.items()))
        said.append(f"every release is refused, such as release {sequence}: {one['reason']}")
    elif not summary["release_outcomes"]:
        model = summary["job"]["model"]
        said.append(f"model {model['name']} has no release; next: halflife models release --champion VERSION")
    return ", ".join(said)
