"""Runs `halflife features`: the training set of a job is written, counted, and judged as a run is."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from ulid import ULID

from pipeline.command_line.options import RunOptions, parse_run_options
from pipeline.command_line.sink_policy import SinkPolicy
from pipeline.endpoints.files.earlier_runs import check_earlier_runs, replacing, say_earlier_runs
from pipeline.endpoints.labels.label_source import LabelSource, open_labels
from pipeline.endpoints.labels.measured_labels import hidden_as
from pipeline.endpoints.lookups.table_files import FileTables
from pipeline.endpoints.only_new.committing import letters_written
from pipeline.endpoints.outputs import SinkFolder, training_folders, write_training_set
from pipeline.endpoints.sink_locations import check_training_folder
from pipeline.endpoints.sinks import check_all_writable
from pipeline.endpoints.uris import absolute
from pipeline.features import build_features
from pipeline.lineage.telling import Lineage, check_lineage, lineage_of_verb
from pipeline.reporting import log_form
from pipeline.reporting.model_presence import check_keys
from pipeline.reporting.outcomes import check_rows, letter_lines
from pipeline.reporting.printer import note, print_json, print_line
from pipeline.reporting.saying import guarded
from pipeline.reporting.summary import check_summary, write_summary
from pipeline.reporting.training_counts import Asked, feature_counts, feature_lines
from pipeline.run import EXPECTED, Prepared, check_runner, prepare_run, run_to_end, say_of_input, source_of
from schemas.validation import SpecError
from transforms.arrivals.done_before import NewLetters
from transforms.flow import metrics
from transforms.flow.examples import forget_examples, kept_examples
from transforms.labels.time_split import TEST, TRAIN, SplitRule


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """A training set that may be written: its job, its folder, and the labels and the split that it is to have.
    `replaces`: what earlier runs wrote is deleted."""

    prepared: Prepared
    folder: str
    labels: LabelSource | None = None
    split_at_us: int | None = None
    replaces: bool = False

    @property
    def asked(self) -> Asked:
        return Asked(self.labels is not None, self.split_at_us)

    @property
    def split(self) -> SplitRule | None:
        horizon_us = None if self.labels is None else self.labels.spec.horizon_us
        return None if self.split_at_us is None else SplitRule(self.split_at_us, horizon_us)

    @property
    def folders(self) -> list[SinkFolder]:
        """Where rows and dead letters go."""
        return training_folders(self.prepared.job, self.folder, () if self.split_at_us is None else (TRAIN, TEST))


def write_features(arguments: Sequence[str], prog: str = "halflife features") -> int:
    """`halflife features --job FILE --out DIR`; returns the exit code."""
    return write_parsed(parse_run_options(list(arguments), prog, with_out=True))


def write_parsed(options: RunOptions) -> int:
    """As `write_features`, for options that are parsed already."""
    return guarded(lambda: _write_features(options), options.verbose, EXPECTED, options.json)


def _write_features(options: RunOptions) -> None:
    prepared, out = prepare_run(options), options.out or ""
    check_runner(prepared, options.beam)
    if options.summary:
        check_summary(options.summary)
    check_training_folder(prepared.document, out)
    check_lineage(prepared.document)
    check_keys(prepared.job.privacy)
    plan = TrainingPlan(prepared, absolute(out), _labels(prepared, options), options.split_at_us,
                        options.sinks == SinkPolicy.REPLACE)  # fmt: skip
    _check_writable(plan)  # here too: a run that is refused says nothing of earlier ones
    replaced = check_earlier_runs(plan.folders, options.sinks, prepared.job.name)
    say_earlier_runs(replaced)
    say_of_input(prepared, options)
    with replacing(replaced, prepared.source.bounded), _lineage(plan, options) as lineage:
        _write_and_tell(plan, options, lineage)


def _lineage(plan: TrainingPlan, options: RunOptions) -> AbstractContextManager[Lineage]:
    """What tells which events, labels and tables are in the training set."""
    document = plan.prepared.document
    read = document if options.labels else {name: value for name, value in document.items() if name != "labels"}
    sinks = {"training_set": plan.folder}
    if plan.prepared.job.sinks.dead_letters is not None:
        sinks["dead_letters"] = plan.prepared.job.sinks.dead_letters
    return lineage_of_verb("features", read, sinks, options.beam)


def _labels(prepared: Prepared, options: RunOptions) -> LabelSource | None:
    if not options.labels:
        return None
    if not prepared.source.bounded:
        uri = prepared.document["events"]["uri"].partition("?")[0]
        raise SpecError("events.uri", uri, "input that ends, for --labels: files, or a topic with until=latest")
    return open_labels(prepared.document, "--labels")


def _write_and_tell(plan: TrainingPlan, options: RunOptions, lineage: Lineage) -> None:
    prepared, counts = plan.prepared, _write(plan, options.beam, lineage.begin)
    if options.summary:
        write_summary(counts, options.summary)
    if options.json:
        print_json(counts)
    else:
        for line in feature_lines(counts).splitlines():
            print_line(line)
        for line in letter_lines(counts["dead_letter_errors"], prepared.job.sinks.dead_letters, kept_examples()):
            print_line(f"  {line}")
        if prepared.job.privacy is not None:
            print_line("  rows are encrypted; next: halflife.read_training(FOLDER, keys=URL) in Python")
    uri = prepared.document["events"]["uri"]
    if prepared.source.bounded and (remark := check_rows(counts, uri, options.limits, kept_examples())):
        note(remark)


def _check_writable(plan: TrainingPlan) -> None:
    """Raises `SinkUnwritable` where a training set or its dead letters cannot be written."""
    check_all_writable((each.spec_path, each.uri, each.record) for each in plan.folders)


def execute_features(prepared: Prepared, out: str, beam_arguments: Sequence[str]) -> dict[str, Any]:
    """Writes the training set of a job to the folder `out` and returns the counts.

    Raises:
        CountsDoNotAdd: a record was lost.
        SinkUnwritable: the folder, or that of the dead letters, cannot be written.
    """
    return _write(TrainingPlan(prepared, absolute(out)), beam_arguments)


def _untold(letters: Any, plan: TrainingPlan) -> Any:
    """The dead letters that neither the job nor an earlier training set has written."""
    earlier = letters_written(plan.prepared.job) if plan.prepared.source.bounded and not plan.replaces else None
    return letters if earlier is None else letters | "NewLetters" >> NewLetters(earlier)


def _write(
    plan: TrainingPlan, beam_arguments: Sequence[str], tell_run: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    prepared, run_id = plan.prepared, str(ULID()).lower()
    forget_examples()
    tell_run(run_id)
    _check_writable(plan)
    if prepared.empty:
        return feature_counts({}, plan.folder, run_id, plan.asked)
    pipeline, raw = source_of(prepared, beam_arguments)
    labels = None
    if plan.labels is not None:
        spec = hidden_as(plan.labels.spec, prepared.job.events)
        labels = (pipeline | "ReadLabels" >> plan.labels.source.read(spec.records), spec)
    made = build_features(raw, prepared.job, labels, plan.split, FileTables())
    write_training_set(made.rows, _untold(made.dead_letters, plan), prepared.job, plan.folder, run_id)
    log_form.tell_of(job=prepared.job.name, run=run_id)
    result = run_to_end(pipeline, prepared.source)
    return feature_counts(metrics.counts_of(result), plan.folder, run_id, plan.asked)
