"""Runs `halflife features`: the training set of a job is written, counted, and judged as a run is."""

from collections.abc import Sequence
from typing import Any

from ulid import ULID

from pipeline.command_line.options import RunOptions, parse_run_options
from pipeline.endpoints.files.earlier_runs import check_earlier_runs, replacing, say_earlier_runs
from pipeline.endpoints.outputs import training_folders, write_training_set
from pipeline.endpoints.sink_locations import check_training_folder
from pipeline.endpoints.sinks import check_all_writable
from pipeline.endpoints.uris import absolute
from pipeline.features import build_features
from pipeline.reporting.outcomes import check_rows, letter_lines
from pipeline.reporting.printer import note, print_json, print_line
from pipeline.reporting.saying import guarded
from pipeline.reporting.summary import check_summary, feature_counts, feature_lines, write_summary
from pipeline.run import EXPECTED, Prepared, check_runner, prepare_run, run_to_end, say_of_input, source_of
from transforms.flow import metrics
from transforms.flow.examples import forget_examples, kept_examples


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
    _check_training_sinks(prepared, absolute(out))  # here too: a run that is refused says nothing of earlier ones
    replaced = check_earlier_runs(training_folders(prepared.job, absolute(out)), options.sinks, prepared.job.name)
    say_earlier_runs(replaced)
    say_of_input(prepared, options)
    with replacing(replaced, prepared.source.bounded):
        _write_and_tell(prepared, options, out)


def _write_and_tell(prepared: Prepared, options: RunOptions, out: str) -> None:
    counts = execute_features(prepared, out, options.beam)
    if options.summary:
        write_summary(counts, options.summary)
    if options.json:
        print_json(counts)
    else:
        print_line(feature_lines(counts))
        for line in letter_lines(counts["dead_letter_errors"], prepared.job.sinks.dead_letters, kept_examples()):
            print_line(f"  {line}")
    uri = prepared.document["events"]["uri"]
    if prepared.source.bounded and (remark := check_rows(counts, uri, options.limits, kept_examples())):
        note(remark)


def _check_training_sinks(prepared: Prepared, folder: str) -> None:
    """Raises `SinkUnwritable` where a training set or its dead letters cannot be written."""
    folders = training_folders(prepared.job, folder)
    check_all_writable((each.spec_path, each.uri, each.record) for each in folders)


def execute_features(prepared: Prepared, out: str, beam_arguments: Sequence[str]) -> dict[str, Any]:
    """Writes the training set of a job to the folder `out` and returns the counts.

    Raises:
        CountsDoNotAdd: a record was lost.
        SinkUnwritable: the folder, or that of the dead letters, cannot be written.
    """
    folder, run_id = absolute(out), str(ULID()).lower()
    forget_examples()
    _check_training_sinks(prepared, folder)
    if prepared.empty:
        return feature_counts({}, folder, run_id)
    pipeline, raw = source_of(prepared, beam_arguments)
    rows, letters = build_features(raw, prepared.job)
    write_training_set(rows, letters, prepared.job, folder, run_id)
    result = run_to_end(pipeline, prepared.source.bounded)
    return feature_counts(metrics.counts_of(result), folder, run_id)
