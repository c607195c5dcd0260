"""`halflife audit export`: one decision with its proof, as a small file."""

import argparse
from pathlib import Path

from audit.asking.answers import answers
from audit.asking.sources import UnknownToAudit
from audit.files.chain import read_chain
from audit.files.sealed import SealedSegment
from audit.sealing.proofs import export_decision, receipt_key_at
from models.errors import one_line
from models.store.backends import Backend
from pipeline.command_line.parsing import Arguments, OneLineParser
from pipeline.commands.audit.location import add_audit_options, asked
from pipeline.commands.output import Refused, exit_code
from pipeline.reporting.printer import note, print_json
from schemas.errors import UnusableData


def export(arguments: Arguments) -> int:
    """`halflife audit export ID --out FILE`; returns the exit code."""
    parser = OneLineParser("halflife audit export", "Write one decision with its proof, to be checked offline.")
    parser.add_argument("score_id", metavar="ID", help="the score's id")
    parser.add_argument("--out", required=True, metavar="FILE", help="where it goes; `halflife audit check` reads it")
    add_audit_options(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _export(options), options.verbose)


def _export(options: argparse.Namespace) -> None:
    with asked(options) as sources:
        found = answers(sources.audit.find("score_id", options.score_id))
        if not found:
            looked = sources.audit.looked_through
            raise UnknownToAudit(
                f"no receipt has the score_id {options.score_id!r}: of {looked}; next: halflife audit event EVENT_ID"
            )
        sealed = [each for each in found[0].receipts if each.segment is not None]
        if not sealed:
            raise Refused(
                f"score {options.score_id} is not sealed yet, so nothing proves it; next: halflife audit seal"
            )
        chosen = found[0].shown if found[0].shown.segment is not None else sealed[0]
        sources.record_access(str(chosen.receipt["model"]), "export", score_id=options.score_id)
        backend = Backend(sources.audit.url)
        try:
            segment, keys = SealedSegment(backend, chosen.file.split("/")[1]), sources.audit.keys
            key = None if keys is None or chosen.locked else receipt_key_at(segment, chosen.row, keys.key)
            proof = export_decision(segment, chosen.row, read_chain(backend), key)
        except UnusableData as error:
            raise Refused(str(error)) from None
        _write(Path(options.out), proof)
    if chosen.locked:
        lacks = f"{options.out} proves that the receipt stands, but not the score"
        note(f"{lacks}: its features are {chosen.locked}", "warning")
    if options.json:
        said = {"score_id": options.score_id, "file": options.out, "bytes": len(proof), "segment": chosen.segment}
        print_json(said | {"with_key": key is not None, "locked": chosen.locked or None})
    else:
        next_command = f"halflife audit check {options.out} --bundle FOLDER --key PUBLIC"
        note(f"{options.out} has {len(proof)} bytes; next: {next_command}")


def _write(path: Path, proof: bytes) -> None:
    try:
        path.write_bytes(proof)
    except OSError as error:
        raise Refused(f"{path} cannot be written: {one_line(error)}") from None
