"""A job run from Python: the same checks, graph and counts as those of the command, without its printing."""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypedDict, cast

from pipeline.command_line.options import RunOptions, checked_beam_options
from pipeline.command_line.sink_policy import SinkPolicy
from pipeline.reporting.limits import parse_max_letters
from pipeline.reporting.printer import note, notes_to
from pipeline.run import run_job
from schemas.validation import Absent, SpecError

_LOG = logging.getLogger("halflife")


class DoneBefore(TypedDict):
    """What earlier runs have done (`only_new`): events, and dead letters by stage."""

    events: int
    dead_letters: dict[str, int]


class ReasonCounts(TypedDict):
    """Of the scores that were to have reasons (`explain`): with them, left out by its budget, failed."""

    computed: int
    dropped: int
    failed: int


class Timing(TypedDict):
    """Wall time in seconds: until the first event was decoded, with the admission of models; the rest; and its pace."""

    startup_seconds: float
    steady_seconds: float
    steady_events_per_second: float


class QualityCounts(TypedDict):
    """What came of labels and answers where `sinks.quality` is set: `labels` by what they were, `events` by what came
    of their label, `unmeasured` answers by why, and how many panes and records there are."""

    labels: dict[str, int]
    events: dict[str, int]
    unmeasured: dict[str, int]
    panes: int
    records: int


class DriftCounts(TypedDict):
    """The answers whose drift was counted, those that were not by why, and how many records there are."""

    rows: int
    unmeasured: dict[str, int]
    records: int


class Summary(TypedDict):
    """The counts of a run, as `--summary` writes them.

    `dead_letters` are by stage, `dead_letter_errors` by stage and error, `versions` by version and role, `releases` by
    sequence: how many events each answered. `release_outcomes` by sequence: `outcome`, `reason`, `detail`. `skipped`
    are by kind of record.
    `without_row` by lookup, `features_over_limit` by feature, `unseen_categories` by version and input,
    `records_deleted` by topic and partition. `job` is the resolved spec.
    """

    run: str
    records_read: int
    decoded: int
    skipped: dict[str, int]
    filtered: int
    scored: int
    receipts: int
    dead_letters: dict[str, int]
    done_before: DoneBefore
    late: int
    without_row: dict[str, int]
    features_over_limit: dict[str, int]
    unseen_categories: dict[str, dict[str, int]]
    records_deleted: dict[str, int]
    versions: dict[str, dict[str, int]]
    releases: dict[str, int]
    releases_admitted: int
    releases_refused: int
    release_outcomes: dict[str, dict[str, str]]
    dead_letter_errors: dict[str, dict[str, int]]
    reasons: ReasonCounts
    quality: QualityCounts
    drift: DriftCounts
    shadow_scores_failed: int
    seconds: float
    events_per_second: float
    timing: Timing
    job: dict[str, Any]


def run(
    job: Mapping[str, Any] | str | PathLike[str],
    *,
    settings: Mapping[str, Any] | None = None,
    sinks: Literal["append", "new", "replace"] = "append",
    max_dead_letters: int | str | None = None,
    require_input: bool = False,
    only_new: bool = False,
    retry_dead_letters: bool = False,
    beam_options: Sequence[str] = (),
) -> Summary:
    """Runs a job to its end, as `halflife run` does; with unbounded input it ends only by an error.

    Args:
        job: the spec as a mapping, which is not changed, or its file (a path, or a URI such as `gs://`).
        settings: values that replace those of the spec, by path: `{"model.poll": "30s"}`.
        sinks: where the folders of sinks hold records of earlier runs: add to them, raise, or delete those of this job
            once the run has succeeded.
        max_dead_letters: the most dead letters that a run may have: a number, or a share such as `"0.5%"`.
        require_input: whether it is an error if there are no records.
        only_new: score only events that no earlier run of this job has scored.
        retry_dead_letters: with `only_new`, also those of dead letters.
        beam_options: Beam's own options, such as `["--runner=FlinkRunner"]`; DirectRunner without any.

    Returns:
        The counts of the run. Remarks on it go to the logger `halflife`, at level INFO.

    Raises:
        SpecError: the spec or an argument is wrong; all that is wrong with a spec at once.
        NoInput, SinkUnwritable, StoreError, OSError: what the job reads or writes cannot be used.
        RunFailed: the run ended, and its outcome is a failure, such as too many dead letters.
        RuntimeError and others: the runner's own.
    """
    limits = parse_max_letters(None if max_dead_letters is None else str(max_dead_letters))
    options = replace(
        spec_options(job, settings),
        beam=_beam(beam_options),
        limits=limits._replace(require_input=require_input),
        sinks=_policy(sinks),
        only_new=only_new,
        retry_dead_letters=retry_dead_letters,
    )
    if retry_dead_letters and not only_new:
        raise SpecError("retry_dead_letters", True, "only_new beside it")
    with notes_to(_LOG.info):
        summary, remark = run_job(options, time.time())
        if remark:
            note(remark)
    return cast(Summary, summary)


def spec_options(spec: Mapping[str, Any] | str | PathLike[str], settings: Mapping[str, Any] | None) -> RunOptions:
    """The options of a run of that spec."""
    job = spec if isinstance(spec, Mapping) else _file(spec)
    set_values = tuple(f"{path}={json.dumps(value)}" for path, value in (settings or {}).items())
    return RunOptions(job, set_values, None, False, False, None, ())


def _file(job: str | PathLike[str]) -> str | Path:
    if not str(job):
        raise SpecError("job", "", "a mapping, a path or a URI")
    return job if isinstance(job, str) else Path(job)


def _beam(options: Sequence[str]) -> tuple[str, ...]:
    for option in options:
        if option.partition("=")[0] == "--template_location":
            raise SpecError("beam_options", option, "no template, for which nothing here waits; next: halflife run")
    return checked_beam_options(options)


def _policy(name: str) -> SinkPolicy:
    if name not in list(SinkPolicy):
        raise SpecError("sinks", Absent(repr(name)), ", ".join(SinkPolicy))
    return SinkPolicy(name)
