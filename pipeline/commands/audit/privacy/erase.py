"""`halflife audit erase`: a subject's keys are destroyed, whatever the number of its records."""

import argparse
from typing import Any, NamedTuple

from audit.asking.decision.sections import Section
from audit.asking.sources import missing
from audit.erasing.asking import AskedSubject, asked_subject, say_in_audit
from audit.erasing.erasure import Erased, UnknownSubject, erase_subject
from audit.erasing.reach import (
    TrainedVersion,
    Unreached,
    events_of,
    names_of_subject,
    others,
    plain_bundles,
    plain_receipts,
    receipts_about,
    trained_versions,
)
from audit.files.audit import Audit
from audit.files.chain import BrokenChain
from models.errors import StoreError
from models.privacy.register import AskedBy, SubjectHeld
from pipeline.command_line.parsing import Arguments
from pipeline.commands.audit.privacy.keys import KeyLocation, find_keys, subject_parser
from pipeline.commands.audit.showing import print_sections
from pipeline.commands.output import Refused, exit_code, refusal_as_json
from pipeline.reporting.printer import note, print_json
from schemas.times import format_time_us, now_us


def erase(arguments: Arguments) -> int:
    """`halflife audit erase SUBJECT`; returns the exit code: 1 where it is under a hold, or unknown."""
    parser = subject_parser("erase", "Destroy the keys of one person or thing: its values are gone, the proof stays.")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why; the audit and the register say it")
    options = parser.parse_args(arguments)
    return exit_code(lambda: _erase(options), options.verbose)


def _erase(options: argparse.Namespace) -> None:
    with refusal_as_json(options.json):
        location = find_keys(options)
        asked = asked_subject(location.keys, options.subject, AskedBy(options.by, now_us(), options.reason))
        try:
            erased = erase_subject(location.keys, asked)
        except (SubjectHeld, UnknownSubject) as refusal:
            raise _refused(location, asked, refusal) from None
        _say(erased, location)
        left = _left(location, asked)
        if options.json:
            print_json({**erased.document(), **left.document()})
        else:
            print_sections(_sections(erased, left))
        if left.problem:
            raise Refused(f"erased; but what it did not reach is not known: {left.problem}")


def _refused(location: KeyLocation, asked: AskedSubject, refusal: Exception) -> Refused:
    """That nothing was erased, and who holds the subject."""
    said: dict[str, Any] = {"erased": False, "subjects": list(asked.hashes), "detail": str(refusal)}
    if isinstance(refusal, UnknownSubject):
        return Refused(f"not erased: {refusal}", {**said, "reason": "unknown"})
    held = location.keys.register.entries(asked.identity)[-1].asked
    hold = {"by": held.by, "since": format_time_us(held.at_us), "reason": held.reason}
    return Refused(f"not erased: {refusal}", {**said, "reason": "held", "hold": hold})


def _say(erased: Erased, location: KeyLocation) -> None:
    """Says in the audit what was done. Raises `Refused`: the keys are destroyed, but that was not said."""
    audit = location.audit_backend
    if audit is None:
        note(f"no model event says so: {location.no_audit}; the register of the key store does", "warning")
        return
    told = {"keys_destroyed": erased.destroyed}
    try:
        say_in_audit(audit, "erased", erased.asked, erased.asked.asked.at_us, told, location.job)
    except StoreError as error:
        raise Refused(f"erased; but the audit does not say so: {error}; next: halflife audit erase again") from None


class _Left(NamedTuple):
    """What an erasure left; `receipts`: how many nobody can read any more, None: not known; `problem`: why parts are
    not known, empty where all are; `of_labels`: how many keys of letters of its labels were destroyed too."""

    receipts: int | None
    trained: tuple[TrainedVersion, ...]
    not_reached: tuple[Unreached, ...]
    missing: tuple[str, ...]
    problem: str = ""
    of_labels: int = 0

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "receipts": self.receipts,
            "label_keys_destroyed": self.of_labels,
            "trained": [each.document() for each in self.trained],
            "trained_versions": [each.trained.version for each in self.trained],
            "not_reached": [each._asdict() for each in self.not_reached],
            "missing": list(self.missing),
        }


def _left(location: KeyLocation, asked: AskedSubject) -> _Left:
    """What the erasure left, as far as audit and store say it: it is done, whether they answer or not."""
    audit = None if location.audit is None else Audit(location.audit)
    try:
        return _looked(location, audit, asked)
    except (StoreError, BrokenChain) as error:
        return _Left(None, (), tuple(others(location.spec, location.topics, location.url, ())), (), missing(error))


def _looked(location: KeyLocation, audit: Audit | None, asked: AskedSubject) -> _Left:
    encrypted, plain = ([], []) if audit is None else receipts_about(audit, asked)
    of_labels = location.keys.destroy(events_of(location.keys.epochs(), [*encrypted, *plain]))
    names = names_of_subject(asked, location.keys.epochs().all, [*encrypted, *plain])
    trained, lacks = trained_versions(audit, location.stores, names, now_us())
    found = [] if audit is None else list(plain_receipts(audit, plain))
    found += [each for store in location.stores for each in plain_bundles(store)]
    found += others(location.spec, location.topics, location.url, trained)
    if not location.stores:
        lacks.append("which versions were trained on it: name the store by --store, or by --job")
    if audit is None:
        lacks.append("how many receipts are about it, and when a version last served: no audit is named")
    else:
        lacks += [f"what {key} holds: {why}" for key, why in sorted(audit.broken.items())]
    receipts = None if audit is None else len(encrypted)
    return _Left(receipts, tuple(trained), tuple(found), tuple(lacks), of_labels=of_labels)


def _sections(erased: Erased, left: _Left) -> list[Section]:
    said = erased.document()
    summary = [
        ("subject", ", ".join(said["subjects"])),
        ("keys destroyed", str(said["keys_destroyed"])),
        ("keys of letters of its labels destroyed", str(left.of_labels) if left.of_labels else ""),
        ("receipts that nobody can read any more", "" if left.receipts is None else str(left.receipts)),
        ("asked by", said["by"]),
        ("reason", said["reason"]),
        ("erased before", said["erased_before"]),
    ]
    columns = ("model", "version", "records", "in", "last served", "in force")
    trained = [
        (one["model"], one["version"], one["records"], one["file"], one["last_served"] or "never",
         "in force" if one["in_force"] else "")
        for one in (each.document() for each in left.trained)
    ]  # fmt: skip
    parts = [
        Section("Erased", (), summary),
        Section("Versions trained on it", columns, trained),
        Section("Not reached", ("what", "where", "why"), [tuple(each) for each in left.not_reached]),
        Section("Not known", (), [("", why) for why in left.missing]),
    ]
    return [part for part in parts if part.rows]
