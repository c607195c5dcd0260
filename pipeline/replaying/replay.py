"""`halflife replay`: a job's history scored point in time by candidate versions, with no release, and compared.

The graph is the job's own; only the timeline is another one: a release of the first version that serves every event,
with the second scored beside it.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from models.admission.admission import Admission, Refusal
from models.errors import StoreError
from models.releases.release import CANDIDATES, AdmittedRelease, Release
from models.store.store import ModelStore
from pipeline.command_line.options import RunOptions, parse_replay_options
from pipeline.commands.models.location import check_version_known
from pipeline.endpoints.errors import NoInput, SinkUnwritable
from pipeline.endpoints.files.earlier_runs import check_earlier_runs, replacing, say_earlier_runs
from pipeline.endpoints.files.found import files_in
from pipeline.endpoints.files.record_columns import read_columns
from pipeline.endpoints.labels.measured_labels import labels_of_replay
from pipeline.endpoints.outputs import sink_folders
from pipeline.lineage.telling import check_lineage, lineage_of_verb
from pipeline.replaying.comparison import compare, describe
from pipeline.replaying.locations import check_folder, replayed
from pipeline.replaying.refusal import CandidateRefused
from pipeline.replaying.report import print_replay
from pipeline.replaying.truth import KnownLabels, label_counts, measured, read_labels, with_ids
from pipeline.reporting.limits import NO_LIMITS
from pipeline.reporting.outcomes import RunFailed, check_outcome
from pipeline.reporting.printer import note, print_json
from pipeline.reporting.saying import guarded, say
from pipeline.run import check_runner, check_world, execute, prepare_run
from schemas.job import Job, Start
from schemas.validation import SpecError
from transforms.flow.examples import kept_examples
from transforms.releases.offered_columns import columns_of
from transforms.releases.serve_candidates import ServeCandidates

_EXPECTED = (RunFailed, NoInput, SinkUnwritable, StoreError, OSError)
_READ = ("event_id", "event_time", "version", "score", "decision")


def replay(arguments: Sequence[str], prog: str = "halflife replay") -> int:
    """`halflife replay`; returns the exit code: 0 done, 1 failed or a version is refused, 2 bad usage."""
    replayed, options = parse_replay_options(list(arguments), prog)
    return replay_parsed(replayed.versions, options)


def replay_parsed(versions: Sequence[str], options: RunOptions) -> int:
    """As `replay`, for options that are parsed already."""
    return guarded(lambda: _replay(versions, options, time.time()), options.verbose, _EXPECTED, options.json)


def _replay(versions: Sequence[str], options: RunOptions, begun: float) -> None:
    prepared, out = prepare_run(options), options.out or ""
    check_folder(prepared.document, out)
    if not prepared.source.bounded:
        uri = prepared.document["events"]["uri"].partition("?")[0]
        raise SpecError("events.uri", uri, "input that ends: files, or a topic with until=latest")
    check_runner(prepared, options.beam)
    serves = _candidates(prepared.job, versions)
    source = labels_of_replay(prepared.document)
    apart = replayed(prepared.job, out)
    document = {**prepared.document, "sinks": _locations(apart)}
    prepared = replace(prepared, job=apart, document=document, serves=serves)
    check_world(prepared)
    check_lineage(prepared.document)
    say(f"replay of job {apart.name} by {' and '.join(versions)}: {prepared.source.describe()}")
    replaced = check_earlier_runs(sink_folders(apart), options.sinks, apart.name)
    say_earlier_runs(replaced)
    told = lineage_of_verb("replay", document, document["sinks"], options.beam, versions)
    with replacing(replaced, bounded=True), told as lineage:
        summary = execute(prepared, options.beam, begun, lineage.begin)
        lineage.scored(summary)
        report = _report(summary, apart, versions, None if source is None else read_labels(source))
        if options.json:
            print_json(report)
        else:
            print_replay(report)
        if remark := check_outcome(summary, NO_LIMITS, kept_examples()):
            note(remark)


def _locations(job: Job) -> dict[str, str]:
    sinks = job.sinks
    named = {"scores": sinks.scores, "audit": sinks.audit[0], "drift": sinks.drift, "dead_letters": sinks.dead_letters}
    return {**{name: uri for name, uri in named.items() if uri is not None}, "format": sinks.format}


def _candidates(job: Job, versions: Sequence[str]) -> Any:
    """What the graph serves in place of the timeline.

    Raises:
        SpecError: the store has no such version.
        CandidateRefused: a version may not serve.
    """
    spec = job.model
    store = ModelStore(spec.store, spec.name)
    for version in versions:
        check_version_known(store, version, "--version")
    timeout_s = spec.admission_timeout_us / 1e6
    given = (store, columns_of(job), spec.allow_pickle, spec.max_bundle_bytes, spec.trusted_key)
    admission = Admission(*given, timeout_s=timeout_s, job=job.name, trust=spec.trust)
    first, *rest = versions
    outcome = admission.admit_release(Release(CANDIDATES, spec.name, 0, first, shadows=tuple(rest)))
    if isinstance(outcome, Refusal):
        verdict = outcome.verdict
        raise CandidateRefused(f"not replayed: version {verdict.version!r}: {verdict.reason}: {verdict.detail}")
    warnings = {digest: admission.warnings(digest) for digest in outcome.digests.values()}
    return partial(_serve, outcome, warnings)


def _serve(
    admitted: AdmittedRelease, warnings: Mapping[str, tuple[str, ...]], job: Job, bounded: bool, start: Start
) -> ServeCandidates:
    return ServeCandidates(admitted, warnings, job, start)


def _report(
    summary: Mapping[str, Any], job: Job, versions: Sequence[str], labels: KnownLabels | None
) -> dict[str, Any]:
    """What was scored and what it differs in, in counts that add up; with labels also how good it was."""
    by_version = _scores(job, summary["run"], versions)
    described = {version: describe(rows, job.drift) for version, rows in by_version.items()}
    if labels is not None:
        store = ModelStore(job.model.store, job.model.name)
        labelled = {version: with_ids(rows, labels, job.events) for version, rows in by_version.items()}
        for version, rows in labelled.items():
            output = store.read_manifest(version).output
            described[version]["quality"] = measured(rows, labels, output, job.drift)
    unanswered = {version: summary["decoded"] - by_version[version].num_rows for version in versions}
    report: dict[str, Any] = {
        "run": summary["run"],
        "job": job.name,
        "model": job.model.name,
        "records_read": summary["records_read"],
        "events": summary["decoded"],
        "dead_letters": summary["dead_letters"],
        "out": _locations(job),
        "versions": {version: {**described[version], "unscored": unanswered[version]} for version in versions},
    }
    if labels is not None:
        report["labels"] = label_counts(labels, labelled)
    if len(versions) > 1:
        found = compare(by_version[versions[0]], by_version[versions[1]], job.drift)
        overall = found["overall"]
        neither = summary["decoded"] - overall["both"] - overall["only_first"] - overall["only_second"]
        report["comparison"] = {"first": versions[0], "second": versions[1], **found, "neither": neither}
    report["seconds"] = summary["seconds"]
    return report


def _scores(job: Job, run: str, versions: Sequence[str]) -> dict[str, pa.Table]:
    """The scores of this replay by version."""
    [folder] = [each for each in sink_folders(job) if each.record == "Score"]
    paths = [each.path for each in files_in(folder, must_list=True) if each.run == run]
    rows = read_columns(paths, "Score", _READ)
    return {version: rows.filter(pc.equal(rows["version"], version)) for version in versions}
