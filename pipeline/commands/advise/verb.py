"""The verb `halflife advise`."""

import argparse
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from audit.files.chain import BrokenChain
from gates.records import OF_QUALITY, QualityRecords
from gates.retraining.advice import Lacking, RetrainingAdvice, advise
from gates.retraining.drifts import DriftRecords, DriftWindow
from gates.retraining.policy import SECTION, retraining_policy
from gates.retraining.telling import hook_settings
from models.errors import BundleRefused
from models.releases.timeline import release_in_force
from models.store.store import ModelStore
from pipeline.command_line.parsing import Arguments, OneLineParser, add_actor_option, add_store_options, duration
from pipeline.commands.advise.giving import GivingAdvice
from pipeline.commands.advise.showing import show
from pipeline.commands.advise.telling import KINDS, HookTeller, alarms_of
from pipeline.commands.audit.location import TOPICS, audit_url, read_job
from pipeline.commands.models.location import ModelLocation, check_version_known, find_location, refuse_absent
from pipeline.commands.output import Refused, exit_code
from pipeline.commands.rollout.journal import AuditJournal
from pipeline.reporting.printer import note
from pipeline.spec.environment import JOB
from schemas.times import now_us
from schemas.validation import MISSING, SpecError

_FOLDER = "a folder, or an s3://, gs:// or az:// URL"
_SINKS = {
    "quality": Lacking("how good the answers are: nothing is measured", "sinks.quality and labels"),
    "drift": Lacking("whether inputs drifted: nothing is measured", "sinks.drift"),
}


def advise_verb(arguments: Arguments) -> int:
    """`halflife advise --job FILE`; returns the exit code."""
    options = _parser().parse_args(arguments)
    return exit_code(lambda: _advise(options), options.verbose)


def _parser() -> OneLineParser:
    parser = OneLineParser("halflife advise", "Say whether retraining the champion pays, as the job's records show.")
    parser.add_argument("--version", metavar="V", help="the version (default: the champion in force)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--once", action="store_true", help="look once, and end (default)")
    how.add_argument("--follow", action="store_true", help="go on looking")
    how.add_argument("--status", action="store_true", help="only show what is found; write nothing, call no hook")
    parser.add_argument(
        "--every", type=duration, default=600_000_000, metavar="D", help="how often to look (default: 10m)"
    )
    parser.add_argument("--quality", metavar="URL", help=f"quality: {_FOLDER} (default: sinks.quality of the job)")
    parser.add_argument("--drift", metavar="URL", help=f"drift: {_FOLDER} (default: sinks.drift of the job)")
    parser.add_argument("--audit", metavar="URL", help=f"the audit: {_FOLDER} (default: sinks.audit of the job)")
    add_actor_option(parser)
    add_store_options(parser)
    return parser


class _Looking:
    """What a look reads: the timeline, and the records that a job's sinks have."""

    def __init__(self, options: argparse.Namespace, spec: Mapping[str, Any], location: ModelLocation) -> None:
        model = location.store.model
        self.store, self.policy = location.store, retraining_policy(spec.get(SECTION))
        urls = {name: _sink_url(options, spec, name) for name in _SINKS}
        self._lacking = tuple(_lacking(spec, urls))
        self._quality = None if urls["quality"] is None else QualityRecords(urls["quality"], model)
        self._drift = None if urls["drift"] is None else DriftRecords(urls["drift"], model)
        self._said = set[str]()

    def look(self, version: str | None) -> tuple[RetrainingAdvice, Sequence[DriftWindow]]:
        """The advice of now, and the windows of drift."""
        named = version or _champion(self.store)
        if named is None:
            what, setting = "a champion: nothing is released", "halflife models release"
            lacking = (*self._lacking, Lacking(what, setting))
            why = "there is no version to retrain"
            about = RetrainingAdvice(self.store.model, "", None, "wait", "no_release", why, self.policy, lacking)
            return about, ()
        rows = [] if self._quality is None else self._quality.latest()
        drift = [] if self._drift is None else self._drift.latest()
        self._say_broken()
        about_version = self.store.model, named, _digest(self.store, named)
        lacking = (*self._lacking, *self._unrecorded())
        return advise(self.policy, about_version, rows, drift, lacking), drift

    def _unrecorded(self) -> Iterator[Lacking]:
        """Why nothing was read of quality: the folder may be a wrong one."""
        why = "" if self._quality is None else self._quality.why_none()
        if why:
            yield Lacking(f"records of quality: {why}", OF_QUALITY)

    def _say_broken(self) -> None:
        for records in (self._quality, self._drift):
            for key, why in ({} if records is None else records.broken).items():
                if key not in self._said:
                    note(f"{key} is passed over: {why}", "error")
                    self._said.add(key)


def _lacking(spec: Mapping[str, Any], urls: Mapping[str, str | None]) -> Iterator[Lacking]:
    yield from (_SINKS[name] for name, url in urls.items() if url is None)
    if urls["quality"] is not None and "labels" not in spec:
        yield Lacking("the truth about events, by which quality is measured", "labels")


def _sink_url(options: argparse.Namespace, spec: Mapping[str, Any], name: str) -> str | None:
    """Where records are; None where the job does not write them.

    Raises:
        SpecError: they are on a topic.
    """
    given = getattr(options, name)
    path, found = (f"--{name}", given) if given else (f"sinks.{name}", (spec.get("sinks") or {}).get(name))
    if found is not None and str(found).startswith(TOPICS):
        expected = f"{_FOLDER}, since advise reads files; next: --{name} URL of the folder that it is copied to"
        raise SpecError(path, found, expected)
    return None if found is None else str(found)


def _champion(store: ModelStore) -> str | None:
    found = release_in_force(store.releases(), now_us())
    return None if found is None else found.champion


def _digest(store: ModelStore, version: str) -> str | None:
    try:
        return store.read_manifest(version).digest
    except BundleRefused:  # it is gone; its records are still there
        return None


def _advise(options: argparse.Namespace) -> None:
    if options.job is None:
        raise SpecError("--job", MISSING, f"FILE, or {JOB} in the environment: its sinks say where the records are")
    spec, location = read_job(options), find_location(options)
    refuse_absent(options, location.store)
    if options.version is not None:
        check_version_known(location.store, options.version, "--version")
    looking = _Looking(options, spec, location)
    journal = AuditJournal(audit_url(options, spec), spec.get("job"), KINDS)
    hook = hook_settings(spec.get(SECTION))
    teller = None if hook is None else HookTeller(hook, journal, spec.get("job"), location.store.model, options.by)
    try:
        _look(options, looking, journal, teller)
    except BrokenChain as error:
        raise Refused(str(error)) from None


def _look(
    options: argparse.Namespace, looking: _Looking, journal: AuditJournal, teller: HookTeller | None
) -> None:
    told: tuple[object, ...] = ()
    giving = GivingAdvice(journal, looking.store, options.by)
    while True:
        journal.forget()
        advice, drift = looking.look(options.version)
        if options.status:
            show({**giving.show(advice).document, "hook": None}, options.json)
            return
        given = giving.give(advice, now_us())
        hook = None if teller is None else teller.tell(alarms_of(advice, drift), now_us())
        now = advice.version, advice.verdict, advice.reason
        if now != told or given.event is not None:
            show({**given.document, "hook": hook}, options.json)
        told = now
        if not options.follow:
            return
        threading.Event().wait(options.every / 1e6)
