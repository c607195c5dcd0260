"""Why records do not measure a metric in a step of a rollout, and what would."""

from collections.abc import Collection, Sequence

from gates.records import QualityRow
from gates.step_records import StepRecords
from gates.windows import CHAMPION, OF_PAIRS, WindowDifference, named_as
from schemas.times import format_time_us

ONE_CLASS = "only one class"
"""How the `why` of a record begins whose metric needs labels of two classes."""
_MOST_NAMED = 8


def why_no_records(rows: Sequence[QualityRow], version: str, step: StepRecords) -> str:
    """Why there is no record of a version in a step; empty where there is one.

    >>> why_no_records([], "v2", StepRecords("shadow", 0))
    'no record is of v2'
    """
    own = [row for row in rows if row.version == version]
    if not own:
        there = _named({row.version for row in rows})
        return f"no record is of {version}" + (f": they are of {there}" if there else "")
    if step.of(own, version):
        return ""
    since, later = format_time_us(step.since_us), [row for row in own if row.window_start >= step.since_us]
    known = [row for row in later if row.role == step.role]
    if known:
        until = format_time_us(max(row.window_end for row in known))
        found = f"the records of {version} as {step.role} until {until} were there when this step began"
        return f"{found}: they are of the step before; next: run the job, which then knows the release of this step"
    if later:
        found = f"the records of {version} from {since} on are of it as {_named({row.role for row in later})}"
        return f"{found}, none as {step.role}; next: run the job, which then knows the release of this step"
    until = format_time_us(max(row.window_end for row in own))
    return f"no record of {version} is of a window from {since} on, when this step began: the last one ends at {until}"


def why_unmeasured(rows: Sequence[QualityRow], metric: str, version: str, champion: str) -> str:
    """Why records of a step (and of its champion) do not compare two versions by a metric."""
    known = {row.metric for row in rows if row.version == version}
    if known & {*named_as(metric)}:
        said = {row.why for row in rows if row.version == version and row.metric == metric and row.why}
        both = any((row.version, row.role, row.metric) == (champion, CHAMPION, metric) for row in rows)
        whose = "" if both or metric in OF_PAIRS else f" of {champion} as champion beside it"
        return f"no window has a value of it{whose}" + (f": {_named(said)}" if said else "")
    if metric in OF_PAIRS:
        found = f"no record compares {version} with {champion} on the same events"
        return f"{found}; next: a job that writes records of such pairs, or a policy with another metric"
    return f"no record has it; expected: one of {_named(known)}, in another policy"


def has_one_class(rows: Sequence[QualityRow], version: str, windows: Sequence[WindowDifference]) -> bool:
    """Whether the records say of all windows that their labels are of one class."""
    one = {row.window_start for row in rows if row.version == version and (row.why or "").startswith(ONE_CLASS)}
    return bool(windows) and all(each.start_us in one for each in windows)


def _named(names: Collection[str]) -> str:
    shown = sorted(names)[:_MOST_NAMED]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")
