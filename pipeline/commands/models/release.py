"""`halflife models release`: entries of the timeline."""

import argparse
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from models.admission.admission import Admission, Refusal, Verdict
from models.errors import StoreError
from models.releases.release import SHARE_ROUNDING, Challenger, Release, parse_release, release_document
from models.releases.timeline import release_in_force, taken_over_by
from pipeline.command_line.parsing import (
    Arguments,
    OneLineParser,
    add_actor_option,
    add_admission_options,
    add_store_options,
    duration,
    moment,
)
from pipeline.commands.models.clocks import clock_findings
from pipeline.commands.models.event_times import (
    FIRST_EVENT,
    check_first_event,
    first_event_us,
    passed_remark,
    release_time,
)
from pipeline.commands.models.location import (
    ModelLocation,
    StatedJob,
    admission_at,
    find_location,
    refuse_absent,
    versions_meant,
)
from pipeline.commands.models.output_change import ACCEPTED, output_change
from pipeline.commands.output import Refused, exit_code, print_pairs, refusal_as_json
from pipeline.reporting.printer import note, print_json
from schemas import times
from schemas.validation import Absent, SpecError

NOT_CHECKED = "no_check"
"""The evidence of a release whose versions were not checked before it was written."""
_SHARE = re.compile(r"(?P<version>[^=]+)=(?P<share>\d+(\.\d*)?|\.\d+)(?P<percent>%)?")


def release(arguments: Arguments) -> int:
    """`halflife models release`; returns the exit code."""
    options = release_parser().parse_args(arguments)
    return exit_code(lambda: _release(options), options.verbose)


def release_parser() -> OneLineParser:
    """The command line of `release`."""
    parser = OneLineParser("halflife models release", "Decide which versions serve from a time on.")
    parser.add_argument("--champion", required=True, metavar="V", help="the version that answers")
    parser.add_argument(
        "--challenger", action="append", default=[], type=challenger, metavar="V=SHARE", dest="challengers",
        help="a version that answers for a share of the events, such as v2=0.1 or v2=10%%; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--shadow", action="append", default=[], metavar="V", dest="shadows",
        help="a version that is scored and never returned; repeatable",
    )  # fmt: skip
    parser.add_argument("--split_on", metavar="COLUMN", help="what events are split by (default: event_id)")
    parser.add_argument(
        "--salt", metavar="TEXT",
        help="what the split is salted with (default: that of the last release if a challenger goes on, else random)",
    )  # fmt: skip
    parser.add_argument(
        "--accept_output_change", action="store_true",
        help="release versions although their output or positive class differs, among them or from the release in "
        "force; recorded",
    )  # fmt: skip
    parser.add_argument("--evidence", default="", metavar="TEXT", help="a link or an id that supports the decision")
    add_when_and_how(parser, release_time, "first-event, a day, an RFC 3339 time or now")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why")
    return parser


def challenger(text: str) -> Challenger:
    """`v2=0.1` or `v2=10%`."""
    found = _SHARE.fullmatch(text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; expected: VERSION=SHARE such as v2=0.1 or v2=10%")
    share = float(found["share"]) / (100 if found["percent"] else 1)
    if share > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; expected: a share of at most 1, or 100%")
    return Challenger(found["version"], share)


def _check_roles(options: argparse.Namespace) -> None:
    """Raises `SpecError` for options that no release could follow: a version in two roles, shares over 1."""
    seen = {options.champion}
    named = [("--challenger", each.version) for each in options.challengers]
    for option, version in (*named, *(("--shadow", version) for version in options.shadows)):
        if version in seen:
            raise SpecError(option, Absent(f"version {version!r} in two roles"), "each version in one role")
        seen.add(version)
    total = sum(each.share for each in options.challengers)
    if total > 1 + SHARE_ROUNDING:
        raise SpecError("--challenger", Absent(f"shares that sum to {total:g}"), "a sum of at most 1")


def add_when_and_how(
    parser: argparse.ArgumentParser,
    of_time: Callable[[str], Any] = moment,
    allowed: str = "a day, an RFC 3339 time or now",
) -> None:
    """The options that `release` and `rollback` share: the time, whether to check first, and the model's location."""
    parser.add_argument(
        "--from", type=of_time, metavar="TIME", dest="effective_from",
        help=f"event time from which it serves: {allowed} (default: now + 2 polls, so that every worker knows it)",
    )  # fmt: skip
    parser.add_argument("--poll", type=duration, metavar="DURATION", help="the job's poll interval (default: 10s)")
    parser.add_argument(
        "--no_check", action="store_true",
        help="do not try the versions here first; the job still decides, and the release says that it was not tried",
    )  # fmt: skip
    add_admission_options(parser)
    add_actor_option(parser)
    add_store_options(parser)


def start_us(options: argparse.Namespace, location: ModelLocation) -> int:
    """The event time from which a release serves, microseconds since 1970."""
    if options.effective_from is not None:
        return int(options.effective_from)
    return times.now_us() + 2 * int(options.poll or location.poll_us)


def evidence_of(text: str, options: argparse.Namespace, accepted: str = "") -> str:
    """The evidence of a release: that its versions were not checked, where that is so, and what a person accepted."""
    return "; ".join(part for part in (text, NOT_CHECKED if options.no_check else "", accepted) if part)


def _release(options: argparse.Namespace) -> None:
    with refusal_as_json(options.json):
        say(options, *released(options))


def released(options: argparse.Namespace) -> tuple[Release, dict[str, Any]]:
    """Writes a release, and returns it with what is to be said of it: `taken_over_by`, `clocks`, `events_before`.
    `options`: those of the verb.

    Raises:
        Refused: a version may not serve, or scores would change their meaning; nothing is written.
        SpecError, StoreError: the options or the store cannot be used.
    """
    _check_roles(options)
    check_first_event(options)
    location = find_location(options)
    location.store.check_releases()
    history = location.store.releases()
    if not history:
        refuse_absent(options, location.store)
    job = StatedJob(options)
    if options.effective_from == FIRST_EVENT:
        options.effective_from = first_event_us(job)  # read once: the input may be long
    split_on = options.split_on or "event_id"
    named = [options.champion, *(each.version for each in options.challengers), *options.shadows]
    with versions_meant(location.store, *named):
        draft = location.store.draft_release(
            champion=options.champion,
            challengers=options.challengers,
            shadows=options.shadows,
            effective_from_us=start_us(options, location),
            split_on=split_on,
            salt=options.salt or _salt(history, options.challengers, split_on),
            by=options.by,
            reason=options.reason,
            evidence=evidence_of(options.evidence, options, ACCEPTED if options.accept_output_change else ""),
        )
    admission = None if options.no_check else admission_at(location, job.columns)
    if not options.accept_output_change:
        _refuse_output_change(options, location, draft, history, admission)
    if admission is not None:
        refusal = checked_release(admission, draft)
        if refusal is not None:
            refuse("released", refusal)
        # Checking the versions may have taken minutes, but every worker must know the release before its time.
        draft = replace(draft, effective_from_us=start_us(options, location), at_us=times.now_us())
    began_us = times.now_us()
    written = location.store.append(draft)
    clocks = clock_findings(location.store, history, written, began_us, times.now_us())
    record(options, location, "release", written)
    _refuse_withdrawn_meanwhile(location, written, history)
    follows = taken_over_by([*history, written], written)
    passed = passed_remark(job, written, history)
    return written, {"taken_over_by": told(follows), "clocks": clocks, "events_before": passed}


def _refuse_withdrawn_meanwhile(location: ModelLocation, written: Release, history: list[Release]) -> None:
    """Refuse a version that is withdrawn at the same moment. `withdraw` reads the releases again after its first step,
    so one of the two notices the other.

    Raises:
        StoreError: one was, or is about to be.
    """
    for version in written.versions:
        withdrawal = location.store.binding_withdrawal(version, lambda: history)
        if withdrawal is not None:
            found = f"release {written.sequence} is written, but its version {version!r} {withdrawal}"
            raise StoreError(f"{found}; next: release another version, unless halflife models list still has this one")


def _refuse_output_change(
    options: argparse.Namespace,
    location: ModelLocation,
    draft: Release,
    history: list[Release],
    admission: Admission | None,
) -> None:
    """End the verb with 1 where scores would change their meaning and nobody accepted that."""

    def labels(version: str) -> Sequence[str]:
        return () if admission is None else admission.check_version(version).labels

    before = release_in_force(history, draft.effective_from_us)
    found = output_change(location.store, draft, before, labels)
    if found is None:
        return
    detail = f"{found}; expected: the same output and positive class, or --accept_output_change"
    raise Refused(f"not released: {detail}", {"released": False, "reason": "output_change", "detail": detail})


def checked_release(admission: Admission, release: Release) -> Verdict | None:
    """Admission's refusal of a release; None where a job would admit it."""
    outcome = admission.admit_release(release)
    return outcome.verdict if isinstance(outcome, Refusal) else None


def refuse(what: str, verdict: Verdict) -> NoReturn:
    """End the verb with 1: a version may not serve."""
    raise Refused(
        f"not {what}: version {verdict.version!r}: {verdict.reason}: {verdict.detail}; next: mend the version, or "
        "--no_check, which leaves it to the job",
        {what: False, "version": verdict.version, "reason": verdict.reason, "detail": verdict.detail},
    )


def record(options: argparse.Namespace, location: ModelLocation, action: str, written: Release) -> None:
    """The entry of the access log for a release."""
    versions = ",".join(written.versions)
    location.store.record_access(action, options.by, release=written.sequence, versions=versions, reason=written.reason)


def told(release: Release | None) -> dict[str, Any] | None:
    """Another release in words: its number, what it serves, and when."""
    if release is None:
        return None
    at = times.format_time_us(release.effective_from_us)
    return {"release": release.sequence, "champion": release.champion, "effective_from": at}


def say(options: argparse.Namespace, written: Release, more: Mapping[str, Any]) -> None:
    """Show what was written, which release takes over from it, and signs of differing clocks."""
    document = release_document(parse_release(release_document(written)))
    for line in remarks(written, more):
        note(line)
    if options.json:
        print_json({**document, **more})
        return
    shares = ", ".join(f"{each.version} {each.share:.4g}" for each in written.challengers)
    print_pairs(
        [
            ("release", written.sequence),
            ("effective from", document["effective_from"]),
            ("champion", written.champion),
            ("challengers", shares),
            ("shadows", ", ".join(written.shadows)),
            ("split on", written.split_on if written.challengers else None),
            ("salt", written.salt if written.challengers else None),
            ("by", written.by),
            ("reason", written.reason),
        ]
    )
    follows = more["taken_over_by"]
    if follows is not None:
        at, sequence = follows["effective_from"], follows["release"]
        note(f"from {at} on release {sequence} takes over, with champion {follows['champion']!r}")


def remarks(written: Release, more: Mapping[str, Any]) -> list[str]:
    """What there is to remark on a release that is written."""
    begun = "its time has begun: events scored before a worker knows it keep the release that served them"
    passed = [begun] if written.effective_from_us < written.at_us else []
    return [*passed, *more["clocks"], *filter(None, [more.get("events_before")])]


def _salt(history: list[Release], challengers: list[Challenger], split_on: str) -> str:
    """The last release's salt where one of its challengers continues: its share then only grows or shrinks."""
    if history and history[-1].split_on == split_on:
        before = {each.version for each in history[-1].challengers}
        if before & {each.version for each in challengers}:
            return history[-1].salt
    return secrets.token_hex(8)
