"""Changes of the errors of versions, as detectors of the job saw them: from its records of quality."""

import argparse
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from audit.asking.decision.sections import Section
from audit.asking.moments import time_text
from models.errors import StoreError, one_line
from pipeline.commands.audit.location import TOPICS, read_job
from pipeline.reporting.printer import note

if TYPE_CHECKING:
    from gates.retraining.seen_changes import SeenChange


def known_changes(options: argparse.Namespace, model: str) -> "list[SeenChange]":
    """The changes that `sinks.quality` of the job has, in order; none without a job, without that sink, or where it
    is a topic. What cannot be read is noted: it is no reason not to answer."""
    url = (read_job(options).get("sinks") or {}).get("quality")
    if url is None or str(url).startswith(TOPICS):
        return []
    from gates.records import QualityRecords  # few questions need them, and they import the store's readers
    from gates.retraining.seen_changes import changes_seen

    try:
        records = QualityRecords(str(url), model)
        found = changes_seen(records.latest())
    except StoreError as error:
        note(f"changes of errors are not known: {one_line(error)}", "error")
        return []
    for key, why in records.broken.items():
        note(f"{key} is passed over: {why}", "error")
    return found


def changes_of_version(found: "Iterable[SeenChange]", version: str) -> tuple[dict[str, Any], ...]:
    """Those of a version, in all roles."""
    return tuple(_document(each) for each in found if each.version == version)


def changes_by(found: "Iterable[SeenChange]", at_us: int, versions: Iterable[str]) -> tuple[dict[str, Any], ...]:
    """Of each of these versions, role and detector the last change that began by a time."""
    chosen = set(versions)
    last = {(each.version, each.role, each.detector): each for each in found if each.began <= at_us}
    return tuple(_document(each) for each in last.values() if each.version in chosen)


def _document(change: "SeenChange") -> dict[str, Any]:
    return {
        "detector": change.detector, "version": change.version, "role": change.role, "began": time_text(change.began),
        "to": "worse" if change.rises else "better", "before": change.before, "after": change.after, "n": change.n,
        "seen": {"from": time_text(change.window_start), "until": time_text(change.window_end)},
    }  # fmt: skip


def changes_section(changes: Iterable[Mapping[str, Any]]) -> Section:
    """The same for people."""
    rows = [
        (each["began"], each["version"], each["role"], each["to"], f"{each['before']:.4g}", f"{each['after']:.4g}",
         each["n"], each["detector"], each["seen"]["from"])
        for each in changes
    ]  # fmt: skip
    names = (
        "began",
        "version",
        "role",
        "errors are",
        "before",
        "after",
        "labelled since",
        "by",
        "seen in the window of",
    )
    return Section("Errors changed", names, rows)
