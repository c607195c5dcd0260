"""What is said of a rollout that would wait for nothing: no version, no records, no labels, no event of its time."""

from collections.abc import Iterator, Mapping
from typing import Any

from gates.acting import ActingRollout, Said
from gates.policy import Policy
from gates.records import QualityRecords
from gates.windows import UNLABELLED
from models.releases.release import Release
from models.store.store import ModelStore
from pipeline.commands.models.event_times import passed_remark
from pipeline.commands.models.location import StatedJob
from pipeline.commands.output import Refused
from pipeline.reporting.printer import note, notes_to
from schemas.expectations import did_you_mean
from schemas.times import format_time_us


def check_version(acting: ActingRollout, store: ModelStore) -> None:
    """Raises `Refused` for a version that a rollout cannot begin with, as the store does not have it."""
    version = acting.policy.version
    if store.has_version(version) or acting.begun:
        return
    known = store.versions()
    there = ", ".join(known[:20]) or "it has none; next: halflife models publish"
    expected = f"a version of {store.model} in {store.url}: {there}{did_you_mean(version, known)}"
    raise Refused(f"version {version!r} is not in the store; expected: {expected}")


def why_no_folder(acting: ActingRollout, records: QualityRecords, named: bool) -> str:
    """That there is no folder of records; empty where there is one, or where none is needed yet: a rollout begins
    without records, and the job may not have run. `named`: by a person, not by the job."""
    if records.is_there or not (named or acting.begun):
        return ""
    return f"{records.url}: no such folder"


def say_missing_labels(policy: Policy, spec: Mapping[str, Any]) -> None:
    """Says that a job without labels measures nothing that this policy decides by."""
    needed = [each.metric for each in (policy.metric, *policy.guardrails) if each.metric not in UNLABELLED]
    if needed and "labels" not in spec:
        found = f"the job states no labels, so it measures no {' and no '.join(dict.fromkeys(needed))}"
        note(f"{found}; expected: labels in the job, or --quality URL of records that have them")


def say_unknown_clusters(policy: Policy, spec: Mapping[str, Any]) -> None:
    """Says that the records do not know which events depend on each other by what decides who answers them."""
    subject, split_on = (spec.get("events") or {}).get("subject"), policy.split_on
    if split_on == "event_id" or (subject is not None and split_on in ("subject", subject)):
        return
    found = (
        f"the policy splits on {split_on}, and the job's records of quality know no events that depend on each other"
    )
    expected = "intervals may be too short; expected: events.subject in the job, and split_on: subject"
    note(f"{found} {'by it' if subject is None else f'but those of one {subject}'}: {expected}")


def remarks_on(written: Release, store: ModelStore, said: Said, job: StatedJob) -> Iterator[str]:
    """What there is to say of the time of a release."""
    history = [each for each in store.releases() if each.sequence != written.sequence]
    asked_us, begins_us = said.effective_from_us, written.effective_from_us
    if asked_us is not None and asked_us < begins_us:
        which = next((each.sequence for each in history if each.effective_from_us == begins_us), None)
        moved = f"release {written.sequence} serves from {format_time_us(begins_us)}, not {format_time_us(asked_us)}"
        yield f"{moved}: before that release {which} serves, and an earlier one would never come to serve"
    with notes_to(lambda guessed: None):  # what is guessed of the input is for who runs the job
        passed = passed_remark(job, written, history, "--from TIME within them, where a run over the past is meant")
    if passed:
        yield passed
