"""Runs a job: resolves the spec, checks what can be checked beforehand, builds the graph, runs it, counts."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, StandardOptions, WorkerOptions
from apache_beam.runners.runner import PipelineResult
from apache_beam.transforms.environments import DockerEnvironment
from ulid import ULID

from models.errors import StoreError
from pipeline.command_line.options import RunOptions, parse_run_options
from pipeline.command_line.result_options import check_for_template, not_obeyed
from pipeline.dag import Serves, build
from pipeline.endpoints.epochs import in_1970
from pipeline.endpoints.errors import NoInput, SinkUnwritable
from pipeline.endpoints.files.earlier_runs import check_earlier_runs, replacing, say_earlier_runs, say_leftovers
from pipeline.endpoints.labels.label_source import LabelSource
from pipeline.endpoints.labels.measured_labels import hidden_as, labels_to_measure
from pipeline.endpoints.lookups.open_lookups import open_lookups
from pipeline.endpoints.lookups.table_files import FileTables
from pipeline.endpoints.matching import NoRecords
from pipeline.endpoints.only_new.committing import OnlyNew, check_only_new, only_new
from pipeline.endpoints.only_new.earlier_records import LetterChoice
from pipeline.endpoints.only_new.hashed_ids import check_hashed_ids
from pipeline.endpoints.outputs import sink_folders, wanted_sinks, write_outputs
from pipeline.endpoints.reading.stored import tell_file_systems
from pipeline.endpoints.resolved import resolve
from pipeline.endpoints.sample import unlike_format
from pipeline.endpoints.sealing.at_end import check_sealing, sealed_at_end
from pipeline.endpoints.sinks import check_all_writable
from pipeline.endpoints.sources import EventSource, Files, check_reads, open_source
from pipeline.endpoints.uris import STDOUT
from pipeline.lineage.telling import check_lineage, lineage_of
from pipeline.prepared import typed_job
from pipeline.process.starting import start_of
from pipeline.reporting import log_form
from pipeline.reporting.model_presence import check_keys, check_model, say_unreached
from pipeline.reporting.outcomes import RunFailed, check_outcome, outcome_lines
from pipeline.reporting.printer import note, out, print_json, print_line
from pipeline.reporting.progress import progress_shown
from pipeline.reporting.saying import beginning_of, guarded, say, say_unconnected, say_where
from pipeline.reporting.summary import (
    SummaryUnwritable,
    check_counts,
    check_summary,
    print_summary,
    summarise,
    write_summary,
)
from pipeline.spec.checks import needed_columns
from pipeline.spec.job import job_document, parse_job
from pipeline.spec.sinks import sink_uris
from runners import direct
from runners.dataflow import settings as dataflow
from runners.flink import settings as flink
from runners.flink.submission import CannotSubmit, check_submission
from runners.loopback import bind_to_loopback
from schemas.formats.raw import RawBlock
from schemas.job import Job
from transforms.arrivals.done_before import NewLetters
from transforms.flow import metrics
from transforms.flow.coders import batches_kept
from transforms.flow.examples import forget_examples, kept_examples
from transforms.lookups.as_of import AsOfTable
from transforms.lookups.timed_table import TimedTable
from transforms.releases.watch_releases import WatchReleases

# Options that a runner gets in addition to those of the command line.
_PROFILES: Mapping[str | None, Callable[[Sequence[str], str, bool], list[str]]] = {
    dataflow.NAME: dataflow.with_profile,
    flink.NAME: flink.with_profile,
}
EXPECTED = (RunFailed, NoInput, SinkUnwritable, SummaryUnwritable, StoreError, CannotSubmit, OSError)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job that may run: its spec, its document with everything filled in, and where its events come from.

    `empty`: the input is bounded and holds no record, so nothing shows the types of its columns. `serves`: the releases
    of the store, or the candidates of a replay. `only_new`: the run scores what no earlier one has. `remark`: what its
    first records show that is not an error. `range_stated`: the spec itself says which times events may have. `tables`:
    those of its lookups, kept in memory for the steps of this process. `labels`: those by which quality is measured.
    """

    job: Job
    document: dict[str, Any]
    source: EventSource
    empty: bool = False
    serves: Serves = WatchReleases
    only_new: OnlyNew | None = None
    remark: str = ""
    range_stated: bool = False
    tables: tuple[AsOfTable | TimedTable, ...] = ()
    labels: LabelSource | None = None


def prepare(options: RunOptions) -> Prepared:
    """Everything that can be checked before a graph exists.

    Raises:
        SpecError: the spec is wrong (exit 2).
        NoInput, OSError: the input cannot be read (exit 1).
    """
    document, source = _opened(options)
    return complete(document, source)


def prepare_run(options: RunOptions) -> Prepared:
    """As `prepare`, but bounded input without a record is not an error: the job has nothing to do."""
    return complete_or_empty(*_opened(options))


def complete_or_empty(document: dict[str, Any], source: EventSource) -> Prepared:
    """As `complete`, but bounded input without a record is not an error."""
    try:
        return complete(document, source)
    except NoRecords:
        if not source.bounded:
            raise
    # Any type will do: nothing is decoded with them, and the rest of the job can be checked.
    columns = dict.fromkeys(needed_columns(document), "number")
    lookups = open_lookups(document, {}).specs
    return Prepared(parse_job(document, columns, typed=False, lookups=lookups), document, source, empty=True)


def _opened(options: RunOptions) -> tuple[dict[str, Any], EventSource]:
    tell_file_systems(options.beam)
    document = resolve(options)
    source = open_source(document["events"])
    if source.bounded and direct.is_one_worker(PipelineOptions(list(options.beam))):
        document["windows"] = {"shards": 1, **document.get("windows", {})}  # shards are for several workers
    return document, source


def complete(document: dict[str, Any], source: EventSource) -> Prepared:
    """The job of a resolved spec; the types of its columns are inferred from the source unless it states them.

    Raises:
        SpecError, NoInput, OSError: as `prepare`.
    """
    job, _, remark, tables = typed_job(document, source)
    stated = "time_range" in document["events"]
    return Prepared(job, job_document(document, job), source, remark=remark, range_stated=stated, tables=tables)


def check_runner(prepared: Prepared, beam_arguments: Sequence[str]) -> None:
    """Raises `SpecError`, `CannotSubmit` for a runner that cannot run the job."""
    runner = PipelineOptions(list(beam_arguments)).view_as(StandardOptions).runner
    check_reads(runner, prepared.source, prepared.document["events"]["uri"])
    if runner == flink.NAME:
        check_submission(beam_arguments)


def check_world(prepared: Prepared) -> None:
    """Raises for a sink that cannot be written and a store that does not answer, before the run spends time."""
    sinks = wanted_sinks(prepared.job)
    check_sealing(prepared.job, prepared.source.bounded)
    check_all_writable(sinks)
    for spec_path, uri, _ in sinks:
        say_leftovers(spec_path, uri)
    check_keys(prepared.job.privacy)
    check_model(prepared.job.model, prepared.source.bounded)


def _runner(options: PipelineOptions) -> Any:
    name = options.view_as(StandardOptions).runner
    return direct.bounded_runner() if direct.is_named(name) else name


def execute(
    prepared: Prepared, beam_arguments: Sequence[str], started: float, tell_run: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Builds and runs the graph; returns the summary. `started`: the process's (epoch); `tell_run` gets the run's id.

    Raises:
        CountsDoNotAdd: the counts of the run contradict each other.
        RuntimeError and others: the runner's, when the job fails.
    """
    run_id = str(ULID()).lower() if prepared.only_new is None else prepared.only_new.run
    forget_examples()
    tell_run(run_id)
    if prepared.empty:
        seconds = time.time() - started
        return summarise({}, seconds, seconds, prepared.document, run_id)
    pipeline = _built(prepared, beam_arguments, run_id)
    log_form.tell_of(job=prepared.job.name, run=run_id)
    piped = STDOUT in sink_uris(prepared.document).values()
    result = run_to_end(pipeline, prepared.source, live=not piped)
    startup = metrics.startup_us(result, int(started * 1e6)) / 1e6
    counts = metrics.counts_of(result)
    summary = summarise(counts, time.time() - started, startup, prepared.document, run_id, kept_examples())
    if prepared.source.bounded:  # a cancelled job stops between its stages, and retries are counted twice
        check_counts(summary)
        say_unreached(prepared.job.model, summary, metrics.latest_event_us(result))
    if not prepared.range_stated and (remark := in_1970(counts, kept_examples())):
        note(remark)
    return summary


def run_to_end(pipeline: beam.Pipeline, source: EventSource, live: bool = True) -> PipelineResult:
    """Runs the pipeline; where one process does all of it, stages pass references to batches. Of input that ends it is
    shown how far the run has come; `live`: nothing else is written to the terminal meanwhile."""
    kept = source.bounded and direct.is_one_process(pipeline.runner, pipeline.options)
    paths = source.paths if isinstance(source, Files) else ()
    counted = direct.knows_counts(pipeline.runner, pipeline.options)
    shown = progress_shown(paths, live, counted=counted) if source.bounded else nullcontext()
    with batches_kept() if kept else nullcontext(), shown:
        result = pipeline.run()
        result.wait_until_finish()
    return result


def stage(prepared: Prepared, beam_arguments: Sequence[str]) -> str:
    """Builds the graph and leaves it at `--template_location` without waiting; returns that location.

    A template's launcher submits the file only after this process has ended.
    """
    pipeline = _built(prepared, beam_arguments, None)
    pipeline.run()
    return str(pipeline.options.view_as(GoogleCloudOptions).template_location)


def _makes_template(beam_arguments: Sequence[str]) -> bool:
    """Only Dataflow has templates: other runners leave `--template_location` unread."""
    given = PipelineOptions(list(beam_arguments))
    location = given.view_as(GoogleCloudOptions).template_location
    return bool(location) and given.view_as(StandardOptions).runner == dataflow.NAME


def with_profile(beam_arguments: Sequence[str], job: str, streaming: bool) -> list[str]:
    """Beam's arguments with those that the chosen runner is asked for besides."""
    runner = PipelineOptions(list(beam_arguments)).view_as(StandardOptions).runner
    profile = _PROFILES.get(runner)
    return list(beam_arguments) if profile is None else profile(beam_arguments, job, streaming)


def _options(prepared: Prepared, beam_arguments: Sequence[str]) -> PipelineOptions:
    streaming = not prepared.source.bounded
    options = PipelineOptions(with_profile(beam_arguments, prepared.job.name, streaming))
    options.view_as(StandardOptions).streaming = streaming
    return options


def translate(prepared: Prepared, beam_arguments: Sequence[str]) -> bytes:
    """The graph as it would be submitted, a serialised pipeline proto; nothing is started or asked for it."""
    pipeline = _built(prepared, beam_arguments, str(ULID()).lower(), direct.bounded_runner())
    image = pipeline.options.view_as(WorkerOptions).sdk_container_image or "none"
    proto = pipeline.to_runner_api(default_environment=DockerEnvironment.from_container_image(image))
    return bytes(proto.SerializeToString())


def _built(
    prepared: Prepared, beam_arguments: Sequence[str], run_id: str | None, runner: Any = None
) -> beam.Pipeline:
    """The whole graph with its source and sinks; without `run_id` it is a template's."""
    pipeline, raw = source_of(prepared, beam_arguments, runner)
    start = start_of(prepared.document, run_id)
    # Files of several starts from one template differ in the ids at the end of their names.
    earlier = None if prepared.only_new is None else prepared.only_new.earlier
    labels = None if prepared.labels is None else pipeline | "ReadLabels" >> prepared.labels.read()
    outputs = build(raw, prepared.job, start, prepared.serves, earlier, FileTables(), labels)
    if earlier is not None:
        outputs = outputs._replace(dead_letters=outputs.dead_letters | "NewLetters" >> NewLetters(earlier))
    write_outputs(outputs, prepared.job, run_id or str(ULID()).lower(), held=earlier is not None)
    return pipeline


def source_of(
    prepared: Prepared, beam_arguments: Sequence[str], runner: Any = None
) -> tuple[beam.Pipeline, beam.PCollection[RawBlock]]:
    bind_to_loopback()
    options = _options(prepared, beam_arguments)
    pipeline = beam.Pipeline(runner=runner or _runner(options), options=options)
    return pipeline, pipeline | "ReadEvents" >> prepared.source.read(prepared.job.events)


def run(arguments: Sequence[str], prog: str = "python -m pipeline", started: float | None = None) -> int:
    """Runs a job from its command line; returns the exit code: 0 done, 1 failed, 2 bad usage."""
    return run_parsed(parse_run_options(list(arguments), prog), started)


def run_parsed(options: RunOptions, started: float | None = None) -> int:
    """As `run`, for options that are parsed already."""
    begun = time.time() if started is None else started
    return guarded(lambda: _run(options, begun), options.verbose, EXPECTED, options.json)


def run_job(
    options: RunOptions, began: float, tell: Callable[[Prepared, Mapping[str, Any]], None] | None = None
) -> tuple[dict[str, Any], str]:
    """Checks and runs a job; returns its summary, and a remark on it that is not a failure (empty: there is none).

    `began`: when the work began (seconds since 1970); `tell` shows the summary before it is judged.

    Raises:
        RunFailed: the run ended, and its outcome is a failure (exit 1).
        SpecError, NoInput, SinkUnwritable, SummaryUnwritable, StoreError, OSError, and the runner's own: as `prepare`
            and `execute`.
    """
    prepared = _checked(prepare_run(options), options)
    with sealed_at_end(prepared.job, prepared.source.bounded):
        return _run_checked(prepared, options, began, tell)


def _run_checked(
    prepared: Prepared, options: RunOptions, began: float, tell: Callable[[Prepared, Mapping[str, Any]], None] | None
) -> tuple[dict[str, Any], str]:
    if options.only_new:
        check_only_new(prepared.job, prepared.source, options.sinks)
        choice = None if options.letters is None else LetterChoice(*options.letters)
        with only_new(prepared.job, str(ULID()).lower(), options.retry_dead_letters, choice) as begun:
            summary, remark = _run_prepared(replace(prepared, only_new=begun), options, began, tell)
            begun.commit(summary)
            return summary, remark
    replaced = check_earlier_runs(sink_folders(prepared.job), options.sinks, prepared.job.name)
    say_earlier_runs(replaced)
    with replacing(replaced, prepared.source.bounded):
        return _run_prepared(prepared, options, began, tell)


def _run_prepared(
    prepared: Prepared, options: RunOptions, begun: float, tell: Callable[[Prepared, Mapping[str, Any]], None] | None
) -> tuple[dict[str, Any], str]:
    with lineage_of(prepared.document, prepared.source.bounded, options.beam) as lineage:
        summary = execute(prepared, options.beam, begun, lineage.begin)
        lineage.scored(summary)
        if options.summary:
            write_summary(summary, options.summary)
        if tell is not None:
            tell(prepared, summary)
        return summary, check_outcome(summary, options.limits, kept_examples()) if prepared.source.bounded else ""


def _run(options: RunOptions, begun: float) -> None:
    if _makes_template(options.beam):
        check_for_template(options)
        _stage(_checked(prepare(options), options), options)
        return
    _, remark = run_job(options, begun, partial(_tell, options))
    if remark:
        note(remark)


def measuring(prepared: Prepared) -> Prepared:
    """The job with the labels by which quality is measured. Raises as `labels_to_measure`."""
    labels = None if prepared.empty else labels_to_measure(prepared.document, prepared.source.bounded)
    spec = None if labels is None else hidden_as(labels.spec, prepared.job.events)
    return replace(prepared, job=replace(prepared.job, labels=spec), labels=labels)


def _checked(prepared: Prepared, options: RunOptions) -> Prepared:
    """The job itself, once its runner, sinks and store are known to work."""
    prepared = measuring(prepared)
    check_runner(prepared, options.beam)
    check_lineage(prepared.document)
    if options.summary:
        check_summary(options.summary)
    if options.only_new:
        check_hashed_ids(prepared.job)
    check_world(prepared)
    say(f"job {prepared.job.name}: {prepared.source.describe()}")
    say_unconnected(prepared.document)
    say_of_input(prepared, options)
    return prepared


def say_of_input(prepared: Prepared, options: RunOptions) -> None:
    """Notes what the input shows to be not as the spec says, and which options are not obeyed for it."""
    of_stream = [] if prepared.source.bounded else [not_obeyed(options.limits), beginning_of(prepared.job)]
    remarks = [*of_stream, prepared.remark]
    if isinstance(prepared.source, Files) and "columns" in prepared.document["events"]:
        remarks.append(unlike_format(prepared.source.sample([]), prepared.source.format))
    for remark in filter(None, remarks):
        note(f"note: {remark}")


def _stage(prepared: Prepared, options: RunOptions) -> None:
    say_earlier_runs(check_earlier_runs(sink_folders(prepared.job), options.sinks, prepared.job.name))
    print_line(f"job {prepared.job.name}: staged at {stage(prepared, options.beam)}")


def _tell(options: RunOptions, prepared: Prepared, summary: Mapping[str, Any]) -> None:
    # Where records go to standard output, nothing else may: a program reads it.
    stream = sys.stderr if STDOUT in sink_uris(prepared.document).values() else out()
    if options.json:
        print_json(summary, stream)
        return
    print_summary(summary, stream)
    for line in outcome_lines(summary, kept_examples()):
        print_line(f"  {line}", stream)
    say_where(prepared.job, stream)
