"""`halflife models rollback`: back to an earlier release, so that no scheduled release brings the bad one back."""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from models.admission.admission import Admission, Verdict
from models.errors import StoreError
from models.releases.release import Release
from models.releases.rollbacks import Past, rollback_evidence
from models.releases.timeline import taken_over_by
from pipeline.command_line.parsing import Arguments, OneLineParser, positive
from pipeline.commands.models.clocks import clock_findings
from pipeline.commands.models.location import ModelLocation, StatedJob, admission_at, find_location, refuse_absent
from pipeline.commands.models.release import (
    add_when_and_how,
    checked_release,
    evidence_of,
    record,
    refuse,
    say,
    start_us,
    told,
)
from pipeline.commands.output import exit_code, refusal_as_json
from pipeline.reporting.printer import note
from schemas import times


def rollback(arguments: Arguments) -> int:
    """`halflife models rollback`; returns the exit code."""
    parser = OneLineParser("halflife models rollback", "Release an earlier release's versions again.")
    parser.add_argument(
        "--to", type=positive, metavar="SEQUENCE",
        help="the release to repeat (default: the last one before that in force whose versions may serve)",
    )  # fmt: skip
    parser.add_argument(
        "--keep_scheduled", action="store_true",
        help="leave the releases that are scheduled for later (default: each is neutralised by one at its time)",
    )  # fmt: skip
    parser.add_argument("--reason", metavar="TEXT", help="why (default: rollback from release N to release M)")
    add_when_and_how(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _rollback(options), options.verbose)


def _rollback(options: argparse.Namespace) -> None:
    with refusal_as_json(options.json):
        _roll_back(options)


def _roll_back(options: argparse.Namespace) -> None:
    location = find_location(options)
    location.store.check_releases()
    history = location.store.releases()
    if not history:
        refuse_absent(options, location.store)
        lacks = f"{location.store.url}: {location.store.model!r} has no release to go back from"
        raise StoreError(f"{lacks}; next: halflife models release --champion VERSION")
    now_us = times.now_us()
    # A rollback with a later beginning undoes what will be in force then.
    past = Past(history, max(now_us, options.effective_from or now_us))
    admission = None if options.no_check else admission_at(location, StatedJob(options).columns)
    target, skipped = _target(options, past, admission)
    begin_us = start_us(options, location)
    main = _main(options, location, past, target, begin_us)
    # No scheduled release may bring back what is undone: from now on, or from the given time.
    after_us = now_us if options.effective_from is None else begin_us
    scheduled = [] if options.keep_scheduled else past.scheduled(begin_us, after_us, target)
    began_us = times.now_us()
    written = [location.store.append(main)]
    clocks = clock_findings(location.store, history, written[0], began_us, times.now_us())
    for each in scheduled:
        written.append(_neutralise(options, location, each, target, written))
    for each in written:
        record(options, location, "rollback", each)
    _report(options, written, scheduled, skipped, [*history, *written], clocks)


def _coming(past: Past) -> str:
    """Tells a user who wants to undo a release that is not in force yet how to keep it from taking effect."""
    if not past.coming:
        return ""
    last = past.coming[-1]
    begins = times.format_time_us(last.effective_from_us)
    return f"; release {last.sequence} takes effect at {begins}: --to {past.in_force.sequence} prevents that"


def _target(
    options: argparse.Namespace, past: Past, admission: Admission | None
) -> tuple[Release, list[tuple[Release, Verdict]]]:
    """The release to repeat, and those that are skipped because one of their versions may not serve."""
    skipped: list[tuple[Release, Verdict]] = []
    candidates: Iterator[Release] = past.earlier() if options.to is None else iter([past.named(options.to)])
    for release in candidates:
        verdict = None if admission is None else checked_release(admission, release)
        if verdict is None:
            return release, skipped
        if options.to is not None:
            refuse("rolled back", verdict)
        skipped.append((release, verdict))
    passed = "".join(f"; {_passed_over(*each)}" for each in skipped)
    first = f"release {past.in_force.sequence} is in force: nothing before it to go back to{passed}{_coming(past)}"
    raise StoreError(f"{first}; expected: --to SEQUENCE, or halflife models release")


def _main(options: argparse.Namespace, location: ModelLocation, past: Past, target: Release, begin_us: int) -> Release:
    """The draft that repeats the target."""
    undone = past.in_force.sequence
    return location.store.draft_release(
        champion=target.champion,
        challengers=target.challengers,
        shadows=target.shadows,
        effective_from_us=begin_us,
        split_on=target.split_on,
        salt=target.salt,
        by=options.by,
        reason=options.reason or f"rollback from release {undone} to release {target.sequence}",
        evidence=evidence_of(rollback_evidence(target), options),
    )


def _neutralise(
    options: argparse.Namespace, location: ModelLocation, scheduled: Release, target: Release, written: list[Release]
) -> Release:
    """One more release at the time of a scheduled one, with the roles of the rollback.

    Raises:
        StoreError: naming what was written already, since repeating the command would go back further.
    """
    main = written[0]
    draft = replace(
        main,
        effective_from_us=scheduled.effective_from_us,
        reason=f"{main.reason}; neutralises release {scheduled.sequence}",
        evidence=evidence_of(rollback_evidence(target, scheduled), options),
    )
    try:
        return location.store.append(draft)
    except StoreError as error:
        done = ", ".join(str(each.sequence) for each in written)
        again = f"halflife models rollback --to {target.sequence}"
        raise StoreError(
            f"written: {done}; release {scheduled.sequence} still serves from "
            f"{times.format_time_us(scheduled.effective_from_us)} on: {error}; next: {again}"
        ) from error


def _report(
    options: argparse.Namespace,
    written: list[Release],
    scheduled: list[Release],
    skipped: list[tuple[Release, Verdict]],
    timeline: list[Release],
    clocks: list[str],
) -> None:
    main, *others = written
    neutralised = [{**_said(each), "by": other.sequence} for each, other in zip(scheduled, others, strict=True)]
    passed = [
        {"release": each.sequence, "version": found.version, "reason": found.reason, "detail": found.detail}
        for each, found in skipped
    ]
    follows = taken_over_by(timeline, main)
    while follows in others:  # the same roles continue
        follows = taken_over_by(timeline, follows)
    said: dict[str, Any] = {
        "written": [each.sequence for each in written],
        "skipped": passed,
        "neutralised": neutralised,
        "taken_over_by": told(follows),
        "clocks": clocks,
    }
    say(options, main, said)
    if options.json:
        return
    for release, verdict in skipped:
        note(_passed_over(release, verdict))
    for each in neutralised:
        at, by = each["effective_from"], each["by"]
        note(f"release {each['release']}, scheduled for {at}, is neutralised by release {by} with the same roles")


def _said(release: Release) -> dict[str, Any]:
    return told(release) or {}


def _passed_over(release: Release, verdict: Verdict) -> str:
    return f"release {release.sequence} is passed over: version {verdict.version!r}: {verdict.reason}: {verdict.detail}"
