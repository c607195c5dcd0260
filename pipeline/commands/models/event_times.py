"""What the events of a job say about the time of a release: the first of them, and whether all lie before it."""

import argparse
from collections.abc import Sequence
from contextlib import suppress

from models.releases.release import Release
from models.releases.timeline import serving_order
from pipeline.command_line.parsing import moment
from pipeline.commands.models.location import StatedJob
from pipeline.commands.output import Refused
from schemas.times import format_time_us
from schemas.validation import SpecError

FIRST_EVENT = "first-event"
_LOOKED_AT_BYTES = 256 * 1024 * 1024


def release_time(text: str) -> int | str:
    """As `moment`, or `first-event`."""
    if text == FIRST_EVENT:
        return text
    try:
        return moment(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, or {FIRST_EVENT}") from None


def check_first_event(options: argparse.Namespace) -> None:
    """Raises `SpecError` for `--from first-event` without a job, whose events say when that is."""
    if options.effective_from == FIRST_EVENT and options.job is None:
        raise SpecError("--from", FIRST_EVENT, "it with --job FILE, whose events say when the first of them is")


def first_event_us(job: StatedJob) -> int:
    """The time of the earliest event of the job's files or topic, microseconds since 1970; all of them are read.

    Raises:
        SpecError: the job's input does not end, or it has a wrong spec.
        Refused: no event can be read.
    """
    from pipeline.preflight.event_times import NoTimes, event_times

    try:
        found = event_times(lambda: job.opened)
    except NoTimes as error:
        raise Refused(f"not released: {error}") from None
    if found is None:
        why = "since the events of the job are neither in files nor in a topic with until=latest"
        raise SpecError("--from", FIRST_EVENT, f"a time, {why}")
    return found.first_us


def passed_remark(
    job: StatedJob, written: Release, history: Sequence[Release], advice: str = f"--from {FIRST_EVENT}, or a time"
) -> str:
    """A note where no event of the job is of the time that a release is for, so that a run would not use it.

    `advice`: what is to be done about it. Empty without a job, for the release that serves earlier events too, and
    where the events cannot be read.
    """
    if not job.stated or serving_order([*history, written])[0] == written:
        return ""
    from pipeline.preflight.event_times import NoTimes, event_times

    with suppress(NoTimes, SpecError):  # the release is written; a run will say what is wrong with its input
        found = event_times(lambda: job.opened, _LOOKED_AT_BYTES)
        if found is not None and found.last_us < written.effective_from_us:
            some = f"the first {found.looked_at} of " if found.looked_at < found.files else ""
            whose = f"events in {some}{found.files} file(s) of the job lie before it"
            last = f"the last is of {format_time_us(found.last_us)}"
            return f"all {whose} ({last}), so a run over them does not use it; next: {advice}"
    return ""
