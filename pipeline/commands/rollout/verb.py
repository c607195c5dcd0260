"""The verb `halflife rollout`."""

import argparse
import threading
from collections.abc import Callable, Mapping
from typing import Any

from audit.files.chain import BrokenChain
from gates.acting import Acted, ActingRollout, Said
from gates.records import QualityRecords
from gates.retraining.policy import SECTION as RETRAINING
from gates.retraining.telling import hook_settings
from gates.rollout import NOT_PAUSED
from gates.verdicts import STOP
from models.admission.admission import Admission, Refusal
from models.releases.release import Release
from models.releases.timeline import release_in_force
from pipeline.command_line.parsing import (
    Arguments,
    OneLineParser,
    add_actor_option,
    add_admission_options,
    add_store_options,
    duration,
    moment,
)
from pipeline.commands.advise.telling import KINDS, HookTeller
from pipeline.commands.audit.location import audit_url, read_job
from pipeline.commands.models.location import ModelLocation, StatedJob, admission_at, find_location
from pipeline.commands.models.output_change import output_change
from pipeline.commands.output import Refused, exit_code
from pipeline.commands.rollout.checks import (
    check_version,
    remarks_on,
    say_missing_labels,
    say_unknown_clusters,
    why_no_folder,
)
from pipeline.commands.rollout.journal import AuditJournal, NoJournal
from pipeline.commands.rollout.policy_file import read_policy_file
from pipeline.commands.rollout.showing import document_of, show
from pipeline.reporting.printer import note
from pipeline.spec.environment import JOB
from schemas.times import now_us
from schemas.validation import MISSING, SpecError

_TOPICS = ("kafka://", "pubsub://", "bigquery://", "stdout:")
_LEAST_EVERY_US = 1_000_000
_EXPECTED = "the folder that the job writes sinks.quality to"
_FOLDER = "a folder, or an s3://, gs:// or az:// URL"


def rollout(arguments: Arguments) -> int:
    """`halflife rollout --policy FILE --job FILE`; returns the exit code."""
    options = _parser().parse_args(arguments)
    return exit_code(lambda: _rollout(options), options.verbose)


def _parser() -> OneLineParser:
    parser = OneLineParser(
        "halflife rollout", "Make a version champion step by step, as a policy says and the job's quality allows."
    )
    parser.add_argument("--policy", required=True, metavar="FILE", help="the policy (docs/rollout.md)")
    parser.add_argument("--version", metavar="V", help="the version (default: that of the policy)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--once", action="store_true", help="look once, do what follows, and end (default)")
    how.add_argument("--follow", action="store_true", help="go on until the version is champion or stopped")
    how.add_argument("--approve", action="store_true", help="agree to the promotion that waits for a person")
    how.add_argument("--pause", action="store_true", help="promote no further until --resume; it may still be stopped")
    how.add_argument("--resume", action="store_true", help="end a pause")
    how.add_argument("--status", action="store_true", help="only show what a look finds; write nothing")
    parser.add_argument(
        "--every", type=_interval, default=60_000_000, metavar="D", help="how often to look: 1s or more (default: 1m)"
    )
    parser.add_argument(
        "--from", type=moment, metavar="TIME", dest="effective_from",
        help="event time from which a release serves: a day, an RFC 3339 time or now (default: now + 2 polls; "
        "of a pause that of the release before)",
    )  # fmt: skip
    parser.add_argument("--reason", default="", metavar="TEXT", help="why, for the release and the audit")
    parser.add_argument("--quality", metavar="URL", help=f"the records: {_FOLDER} (default: sinks.quality of the job)")
    parser.add_argument("--audit", metavar="URL", help=f"the audit: {_FOLDER} (default: sinks.audit of the job)")
    parser.add_argument("--no_check", action="store_true", help="do not try the version here before its first step")
    add_admission_options(parser)
    add_actor_option(parser)
    add_store_options(parser)
    return parser


def _interval(text: str) -> int:
    """How often to look, as microseconds."""
    every_us = duration(text)
    if every_us < _LEAST_EVERY_US:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; expected: 1s or more")
    return every_us


def _rollout(options: argparse.Namespace) -> None:
    policy = read_policy_file(options.policy, options.version)
    if options.job is None:
        raise SpecError("--job", MISSING, f"FILE, or {JOB} in the environment: its sinks say where quality is")
    spec, location = read_job(options), find_location(options)
    records = QualityRecords(_quality_url(options, spec), location.store.model)
    journal, hook = _journal(options, spec), hook_settings(spec.get(RETRAINING))
    teller = None if hook is None else HookTeller(hook, journal, spec.get("job"), location.store.model, options.by)
    acting = ActingRollout(policy, location.store, records, journal, _refusal(options, location))
    check_version(acting, location.store)
    if options.quality is None:
        say_missing_labels(policy, spec)
        say_unknown_clusters(policy, spec)
    try:
        _act(options, location, acting, records, teller)
    except BrokenChain as error:
        raise Refused(str(error)) from None
    for key, why in records.broken.items():
        note(f"{key} is passed over: {why}", "error")


def _quality_url(options: argparse.Namespace, spec: Mapping[str, Any]) -> str:
    """Where the records are.

    Raises:
        SpecError: that is not said, or they are on a topic.
    """
    name, found = ("--quality", options.quality)
    if found is None:
        name, found = "sinks.quality", (spec.get("sinks") or {}).get("quality")
    if found is None:
        raise SpecError(name, MISSING, f"{_FOLDER}; a job without it measures no quality")
    if str(found).startswith(_TOPICS):
        expected = f"{_FOLDER}, since rollout reads files; next: --quality URL of the folder that it is copied to"
        raise SpecError(name, found, expected)
    return str(found)


def _journal(options: argparse.Namespace, spec: Mapping[str, Any]) -> AuditJournal | NoJournal:
    return NoJournal() if options.status else AuditJournal(audit_url(options, spec), spec.get("job"), KINDS)


def _act(
    options: argparse.Namespace,
    location: ModelLocation,
    acting: ActingRollout,
    records: QualityRecords,
    teller: HookTeller | None,
) -> None:
    policy, model = acting.policy, location.store.model
    absent, told = "", tuple[object, ...]()
    while True:
        lost = "" if options.pause or options.resume else why_no_folder(acting, records, options.quality is not None)
        if lost and not options.follow:
            raise Refused(f"{lost}; expected: {_EXPECTED}")
        if lost != absent:
            note(f"{lost}; expected: {_EXPECTED}" if lost else f"{records.url} is there now")
        absent = lost
        if options.status:
            show(document_of(policy, model, acting.show()), options.json)
            return
        said = _said(options, location)
        acted = _acted(options, acting, said)
        if teller is not None and acted.written is not None and acted.look.verdict.action == STOP:
            teller.tell_stops(now_us())
        document = document_of(policy, model, acted.look, acted)
        now = document["verdict"], document["reason"], document["step"], acted.written is not None
        if now != told:
            _tell(options, location, said, acted, document)
        told = now
        if not options.follow or acted.look.stage.over:
            return
        if acted.written is None:
            threading.Event().wait(options.every / 1e6)


def _tell(
    options: argparse.Namespace, location: ModelLocation, said: Said, acted: Acted, document: Mapping[str, Any]
) -> None:
    """Shows what a look did.

    Raises:
        Refused: a pause that was asked for is not to be had.
    """
    refused = acted.look.verdict.reason == NOT_PAUSED
    if options.json or not refused:
        show(document, options.json)
    if refused:
        raise Refused(f"{acted.look.verdict.why}; next: halflife rollout --status")
    if acted.written is not None:
        for line in remarks_on(acted.written, location.store, said, StatedJob(options)):
            note(line)


def _acted(options: argparse.Namespace, acting: ActingRollout, said: Said) -> Acted:
    if options.pause or options.resume:
        return acting.pause(said, resume=options.resume)
    return acting.act(said, approved=options.approve)


def _said(options: argparse.Namespace, location: ModelLocation) -> Said:
    at_us, begin_us = now_us(), options.effective_from
    if begin_us is None and not (options.pause or options.resume):
        begin_us = at_us + 2 * location.poll_us
    return Said(options.by, at_us, begin_us, options.reason)


def _refusal(options: argparse.Namespace, location: ModelLocation) -> Callable[[Release], str]:
    """Why the first release would be refused: by the admission, or as its scores would change their meaning."""

    def refused(draft: Release) -> str:
        admission = None if options.no_check else admission_at(location, StatedJob(options).columns)
        change = _output_change(location, draft, admission)
        if change:
            return f"{change}; expected: the same output and positive class; next: halflife models release"
        outcome = None if admission is None else admission.admit_release(draft)
        if not isinstance(outcome, Refusal):
            return ""
        verdict = outcome.verdict
        return f"version {verdict.version!r}: {verdict.reason}: {verdict.detail}; next: mend the version, or --no_check"

    return refused


def _output_change(location: ModelLocation, draft: Release, admission: Admission | None) -> str | None:
    def labels(version: str) -> tuple[str, ...]:
        return () if admission is None else tuple(admission.check_version(version).labels)

    before = release_in_force(location.store.releases(), now_us())
    return output_change(location.store, draft, before, labels)
