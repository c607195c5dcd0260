"""All checks of a job before it runs, in an order in which earlier findings explain later ones."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from models.errors import one_line
from models.memory import memory_limit_bytes, resident_bytes
from models.redaction import hide_secrets
from pipeline.command_line.options import RunOptions
from pipeline.command_line.sink_policy import SinkPolicy
from pipeline.endpoints.lookups.table_files import TableRefused
from pipeline.endpoints.outputs import sink_folders, wanted_sinks
from pipeline.endpoints.reading.stored import tell_file_systems
from pipeline.endpoints.resolved import resolve
from pipeline.endpoints.sources import EventSource, check_reads, open_source
from pipeline.endpoints.uris import FILE_SCHEMES, scheme_of
from pipeline.preflight.advice import refused
from pipeline.preflight.decoding import check_decoding
from pipeline.preflight.environment import check_environment
from pipeline.preflight.extras import check_extras
from pipeline.preflight.keys import CHECK, check_key_store
from pipeline.preflight.labels import check_labels
from pipeline.preflight.probes import check_records_there, check_sink, check_source, count_events
from pipeline.preflight.serving import ServingChecks
from pipeline.preflight.tables import check_lookups
from pipeline.run import Prepared, complete_or_empty, measuring, translate, with_profile
from pipeline.spec.job import model_spec
from pipeline.spec.sinks import sink_uris
from runners import direct_preflight
from runners.dataflow import preflight as dataflow_preflight
from runners.dataflow.buckets import Buckets
from runners.findings import Facts, Finding, ServingCost, ok, unchecked, warn
from runners.flink import preflight as flink_preflight
from schemas import times
from schemas.validation import SpecError
from transforms.releases.offered_columns import columns_of

RunnerCheck = Callable[[Facts, Sequence[str], int | None], Iterator[Finding]]
RUNNERS: Mapping[str, RunnerCheck] = {
    "DirectRunner": direct_preflight.check,
    "FlinkRunner": flink_preflight.check,
    "DataflowRunner": dataflow_preflight.check,
}
# Where a launcher in the cloud opens the same sources, stores and sinks with credentials of its own.
_ELSEWHERE = "DataflowRunner"
_BUCKET = "gs://"
_NO_CREDENTIALS = ("credential", "anonymous caller", "unauthenticated")


@dataclass
class _Known:
    """What checks found out for later ones. `no_buckets`: why `gs://` cannot be reached from here, else empty."""

    document: dict[str, Any]
    no_buckets: str = ""
    source: EventSource | None = None
    prepared: Prepared | None = None
    models: list[ServingCost] = field(default_factory=list)
    events: int | None = None

    @property
    def streaming(self) -> bool:
        """Whether the input has no end; by its URI, where the service did not answer."""
        uri = self.document["events"]["uri"]
        return not self.source.bounded if self.source else scheme_of(uri) not in FILE_SCHEMES


def examine(options: RunOptions, runner: str) -> Iterator[Finding]:
    """Every finding as soon as it is made. `runner`: one of `RUNNERS`; its own options are in `options.beam`.

    Raises:
        SpecError: the job spec is wrong; nothing else can be checked then.
    """
    tell_file_systems(options.beam)
    known = _Known(resolve(options))
    yield ok("spec", f"{options.job or 'the embedded job'} is valid: job {known.document['job']}")
    yield from check_environment()
    yield from check_extras(known.document)
    known.no_buckets = _no_buckets(known.document, runner)
    keys = known.document.get("privacy", {}).get("keys")
    for check, work in (
        *([(CHECK, partial(check_key_store, keys))] if keys else ()),
        ("events.uri", lambda: _events(known, runner)),
        *([("labels.uri", lambda: _labels(known))] if known.document.get("labels") else ()),
        ("sinks", lambda: _sinks(known, options.sinks, runner)),
        ("model.store", lambda: _serving(known)),
        ("runner", lambda: _runner(known, options, runner)),
    ):
        section, _, key = check.partition(".")
        yield from _isolated(check, work, runner, known.document[section][key] if key else "")


def _no_buckets(document: Mapping[str, Any], runner: str) -> str:
    """Without credentials Google's clients would try for minutes and then fail, which says nothing about the
    workers."""
    uris = (document["events"]["uri"], document["model"]["store"])
    return Buckets().why if runner == _ELSEWHERE and any(uri.startswith(_BUCKET) for uri in uris) else ""


def _isolated(check: str, work: Callable[[], Iterator[Finding]], runner: str, uri: str) -> Iterator[Finding]:
    """The findings of one part, which is about a URI. Whatever it raises, except for a wrong spec, becomes a finding,
    so that the other parts still run."""
    try:
        for finding in work():
            yield finding._replace(found=hide_secrets(finding.found))
    except SpecError:
        raise
    except Exception as error:
        yield _raised(check, error, runner, uri)


def _raised(check: str, error: Exception, runner: str, uri: str) -> Finding:
    said = one_line(error)
    if runner == _ELSEWHERE and any(word in said.lower() for word in _NO_CREDENTIALS):
        return unchecked(check, f"no credentials here: {said}", "ask again where the job will be launched")
    return refused(check, said, uri)


def _unasked(check: str, uri: str, known: _Known) -> Finding | None:
    if not known.no_buckets or not uri.startswith(_BUCKET):
        return None
    return unchecked(check, f"{uri}: {known.no_buckets}", "gcloud auth application-default login, then ask again")


def _events(known: _Known, runner: str) -> Iterator[Finding]:
    unasked = _unasked("events.uri", known.document["events"]["uri"], known)
    if unasked is not None:
        yield unasked
        return
    known.source = source = open_source(known.document["events"])
    check_reads(runner, source, known.document["events"]["uri"])
    yield from check_source(source, known.document["events"]["uri"])
    try:
        known.prepared = complete_or_empty(known.document, source)
    except TableRefused as error:
        yield refused("lookups", str(error), "")
        return
    yield check_decoding(source, known.prepared.job.events)
    yield from check_lookups(source, known.prepared.job.events, known.prepared.tables)
    if known.prepared.remark:
        found, _, change = known.prepared.remark.partition("; next: ")
        yield warn("events.time_unit", found, change)
    if source.bounded:
        known.events = count_events(source)


def _labels(known: _Known) -> Iterator[Finding]:
    """They are read as events are, whose source must be known."""
    if known.source is None:
        yield unchecked("labels", "the events were not read, and labels are read as they are")
        return
    prepared = known.prepared
    yield from check_labels(known.document, known.source, None if prepared is None else prepared.job.events)


def _sinks(known: _Known, policy: SinkPolicy, runner: str) -> Iterator[Finding]:
    if known.prepared is None:
        yield unchecked("sinks", "the events were not read, so the job is not known whole")
        return
    job = known.prepared.job
    for spec_path, uri, record in wanted_sinks(job):
        yield from _isolated(spec_path, partial(check_sink, spec_path, uri, record), runner, uri)
    yield from _isolated("earlier runs", lambda: check_records_there(sink_folders(job), policy, job.name), runner, "")


def _serving(known: _Known) -> Iterator[Finding]:
    unasked = _unasked("model.store", known.document["model"]["store"], known)
    if unasked is not None:
        yield unasked
        return
    # Without a record nothing shows the types of columns: those of the job are made up.
    job = known.prepared.job if known.prepared and not known.prepared.empty else None
    spec = job.model if job else model_spec(known.document["model"])
    horizon_us = job.events.max_out_of_orderness_us + job.features.allowed_lateness_us if job else 0
    columns = columns_of(job) if job else None
    serving = ServingChecks(spec, job, columns, known.streaming, times.now_us() - horizon_us, known.document["job"])
    known.models = serving.models
    yield from serving.check()


def _runner(known: _Known, options: RunOptions, runner: str) -> Iterator[Finding]:
    arguments = with_profile(options.beam, known.document["job"], known.streaming)
    # Building the graph takes seconds, and only Dataflow limits what is submitted.
    graph = translate(_measuring(known.prepared), options.beam) if known.prepared and runner == _ELSEWHERE else None
    return RUNNERS[runner](_facts(known, graph), arguments, memory_limit_bytes())


def _measuring(prepared: Prepared) -> Prepared:
    """The job with its labels; without them where something is wrong with these, which was said."""
    try:
        return measuring(prepared)
    except (SpecError, OSError):
        return prepared


def _facts(known: _Known, graph: bytes | None) -> Facts:
    document = known.document
    sinks = sink_uris(document)
    return Facts(
        job=document["job"],
        streaming=known.streaming,
        uris={"events.uri": document["events"]["uri"], "model.store": document["model"]["store"], **sinks},
        models=tuple(known.models),
        process_bytes=resident_bytes(),
        events=known.events,
        graph=graph,
    )
