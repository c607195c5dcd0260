"""`halflife audit verify`: is the audit what was sealed, and do its scores follow from its versions."""

import argparse
from pathlib import Path
from typing import Any

from audit.asking.answers import answers
from audit.files.checkpoints import MAX_BYTES, StoredCheckpoint, origin_of, parse_checkpoint
from audit.files.formats import RECEIPT, plain_rows
from audit.files.found.receipts import FoundReceipt
from audit.files.notes import UnusableNote
from audit.sealing.duplicates import Duplicates, LocatedReceipts
from audit.sealing.findings import UNSIGNED, AuditFindings
from audit.sealing.rescoring import Rescorer, rescore_segments
from audit.sealing.verifying import AuditTrust, unsealed_stretches, verify_segments
from models.errors import one_line
from models.store.backends import Backend
from pipeline.command_line.parsing import Arguments, OneLineParser
from pipeline.commands.audit.location import add_audit_options, audit_url, keys_of, read_job
from pipeline.commands.audit.proof.keys import public_keys
from pipeline.commands.output import Refused, exit_code, print_pairs
from pipeline.reporting.printer import note, print_json
from pipeline.spec.job import with_defaults
from schemas.validation import SpecError

_NAMED = 20


def verify(arguments: Arguments) -> int:
    """`halflife audit verify`; returns the exit code: 1 on a finding."""
    parser = OneLineParser(
        "halflife audit verify", "Walk an audit: name what is not as it was sealed, and score receipts again."
    )
    parser.add_argument(
        "--key", action="append", default=[], metavar="PUBLIC", dest="keys",
        help="the public key that must have signed every checkpoint: a file, or the key itself; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--checkpoint", metavar="FILE", help="a checkpoint that was kept elsewhere: finds a cut-off end"
    )
    parser.add_argument(
        "--sample", type=_count, metavar="N", help="score only N receipts again, chosen at random; 0: none"
    )
    parser.add_argument("--allow_pickle", action="store_true", help="open pickles, which can run any code")
    add_audit_options(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _verify(options), options.verbose)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: a whole number from 0")
    return int(text)


def _verify(options: argparse.Namespace) -> None:
    spec = read_job(options)
    url = audit_url(options, spec)
    backend = Backend(url)
    if not any(backend.folders()):
        raise Refused(f"{backend.url} holds no audit; expected: what a job wrote to its sinks.audit")
    found = verified_audit(backend, options, spec)
    if options.json:
        print_json(found.document())
    else:
        _show(found)
    for which, why in found.not_rescored.items():
        note(f"receipts of version {which} are not scored again: {why}")
    if not found.sound:
        raise Refused


def verified_audit(backend: Backend, options: argparse.Namespace, spec: Any) -> AuditFindings:
    """What a walk through the audit finds.

    Raises:
        SpecError: a key or a kept checkpoint cannot be read.
        StoreUnavailable: the store did not answer.
    """
    origin = origin_of(spec["job"]) if spec else None
    trust = AuditTrust(public_keys(options.keys), origin, _kept(options.checkpoint))
    found = AuditFindings()
    segments = [each for each in verify_segments(backend, trust, found) if each.statement.kind == "receipts"]
    model = with_defaults(spec, "model")
    store = options.store or model.get("store")
    rescorer = None
    if store is not None and options.sample != 0:
        pickles = bool(options.allow_pickle or model["allow_pickle"])
        rescorer = Rescorer(str(store), pickles, found, keys_of(options, spec))
    duplicates = Duplicates(backend, contradicting)
    for file, stretch in unsealed_stretches(backend, found):
        found.unsealed += stretch.columns.num_rows
        duplicates.take_unsealed(file, stretch)
        if rescorer is not None and options.sample is None:
            rescorer.take(stretch)
    found.receipts += found.unsealed
    duplicates.find(segments, found)
    if rescorer is not None:
        rescore_segments(segments, rescorer, options.sample)
    return found


def contradicting(receipts: list[LocatedReceipts]) -> list[str]:
    """The scores of receipts that contradict each other, as `halflife audit score` sees it."""
    plain = [
        FoundReceipt(receipt, each.file, None, row, b"")
        for each in receipts
        for row, receipt in enumerate(plain_rows(each.rows, RECEIPT))
    ]
    return [answer.shown.receipt["score_id"] for answer in answers(plain) if answer.contradicts]


def _kept(path: str | None) -> StoredCheckpoint | None:
    if path is None:
        return None
    try:
        with Path(path).open("rb") as stream:
            return parse_checkpoint(stream.read(MAX_BYTES + 1))
    except OSError as error:
        raise SpecError("--checkpoint", path, f"a file that can be read ({one_line(error)})") from None
    except UnusableNote as error:
        raise SpecError("--checkpoint", path, f"a checkpoint ({str(error).partition(';')[0]})") from None


def _show(found: AuditFindings) -> None:
    print_pairs(
        [
            ("receipts", f"{found.receipts}, of which {found.unsealed} are not sealed"),
            ("scored again as they say", found.verified),
            ("duplicated", found.duplicated),
            ("expired", found.expired or None),
            ("segments", found.segments),
            ("checkpoint", f"{found.signature}, sha256 {found.checkpoint}" if found.checkpoint else None),
        ]
    )
    for name, values in found.lists.items():
        for value in values[:_NAMED]:
            note(f"{name}: {value}", "error")
        if len(values) > _NAMED:
            note(f"{name}: and {len(values) - _NAMED} more; --json names them", "error")
    for each in found.uncommitted:
        note(f"{each} is named by no checkpoint: no part of the audit; next: halflife audit seal")
    if found.segments and found.signature == UNSIGNED:
        note("checkpoints are unsigned: whoever can write the audit could have made it anew; next: name audit.key")
