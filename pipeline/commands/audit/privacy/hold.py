"""`halflife audit hold`: a subject may be neither erased nor expired, until the hold is released."""

import argparse
from typing import Any

from audit.asking.moments import time_text
from audit.erasing.asking import asked_subject, say_in_audit
from models.privacy.register import AskedBy, ErasureUnfinished, NotHeld, Registered
from pipeline.command_line.parsing import Arguments
from pipeline.commands.audit.privacy.keys import find_keys, subject_parser
from pipeline.commands.output import Refused, exit_code, print_pairs, refusal_as_json
from pipeline.reporting.printer import note, print_json
from schemas.times import now_us
from schemas.validation import MISSING, SpecError


def hold(arguments: Arguments) -> int:
    """`halflife audit hold SUBJECT`; returns the exit code."""
    parser = subject_parser("hold", "Forbid to erase or expire what is held on one person, or allow it again.")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why, such as the number of a case")
    parser.add_argument("--release", action="store_true", help="end the hold")
    options = parser.parse_args(arguments)
    return exit_code(lambda: _hold(options), options.verbose)


def _hold(options: argparse.Namespace) -> None:
    if not options.release and not options.reason.strip():
        raise SpecError("--reason", options.reason or MISSING, "why, such as the number of a case")
    with refusal_as_json(options.json):
        location = find_keys(options)
        asked = asked_subject(location.keys, options.subject, AskedBy(options.by, now_us(), options.reason))
        register = location.keys.register
        try:
            entry = (register.release if options.release else register.hold)(asked.identity, asked.asked)
        except (NotHeld, ErasureUnfinished) as refusal:
            said = {"held": False, "subjects": list(asked.hashes), "detail": str(refusal)}
            raise Refused(str(refusal), said) from None
        done = "release" if options.release else "hold"
        told = {"action": done, "since": time_text(entry.asked.at_us)}
        audit = location.audit_backend
        if audit is None:
            note(f"no model event says so: {location.no_audit}; the register of the key store does", "warning")
        else:
            say_in_audit(audit, "held", asked, asked.asked.at_us, told, location.job)
        known = location.keys.seen(asked.identity) > 0
        if not known:
            lacks = f"subject {asked.hashes[-1]} has no key so far: no record of it was encrypted"
            note(f"{lacks}; expected: the subject as the column events.subject has it", "warning")
        _report(options, list(asked.hashes), entry, known)


def _report(options: argparse.Namespace, hashes: list[str], entry: Registered, known: bool) -> None:
    said: dict[str, Any] = {
        "held": entry.action == "hold",
        "subjects": hashes,
        "since": time_text(entry.asked.at_us),
        "by": entry.asked.by,
        "reason": entry.asked.reason,
        "known": known,
    }
    if options.json:
        print_json(said)
        return
    state = "under a hold" if said["held"] else "under no hold"
    told = [(name, said[name]) for name in ("since", "by", "reason")]
    print_pairs([("subject", ", ".join(hashes)), ("is", state), *told])
