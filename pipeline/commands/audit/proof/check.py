"""`halflife audit check`: is an exported decision proven, without the audit, a store or a network."""

import argparse
import struct
from pathlib import Path
from typing import Any, NamedTuple

from audit.files.notes import PublicKey
from audit.sealing.proofs import MAX_BYTES, ProvenDecision, UnusableProof, read_decision
from audit.sealing.rescoring import TOLERANCE
from models.bundles.folders import read_folder_manifest
from models.bundles.recorded import NotRecorded, recorded_inputs
from models.errors import BundleRefused, NotScored, StoreError, one_line
from models.scorers.asking import ask
from pipeline.command_line.parsing import Arguments, OneLineParser, add_output_options
from pipeline.commands.audit.proof.bundle import loaded_bundle
from pipeline.commands.audit.proof.keys import public_keys
from pipeline.commands.output import Refused, exit_code, print_pairs
from pipeline.reporting.printer import print_json
from schemas.times import format_time_us


class CheckedDecision(NamedTuple):
    """`verdict`: proven, unproven or refuted, and why; `rescored`: what the bundle answers (None: not asked)."""

    verdict: str
    why: str
    key: PublicKey | None
    rescored: float | None


def check(arguments: Arguments) -> int:
    """`halflife audit check FILE`; returns the exit code: 0 only where the decision is proven."""
    parser = OneLineParser("halflife audit check", "Prove an exported decision: offline, without the audit or a store.")
    parser.add_argument("file", metavar="FILE", help="what `halflife audit export` wrote")
    parser.add_argument(
        "--bundle", metavar="FOLDER", help="the bundle of the version that scored: its score is repeated"
    )
    parser.add_argument(
        "--key", action="append", default=[], metavar="PUBLIC", dest="keys",
        help="the operator's public key, had from elsewhere: a file, or the key itself; without it nothing is proven",
    )  # fmt: skip
    parser.add_argument("--allow_pickle", action="store_true", help="open pickles, which can run any code")
    add_output_options(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _check(options), options.verbose)


def _check(options: argparse.Namespace) -> None:
    keys = public_keys(options.keys)
    try:
        decision = read_decision(_read(Path(options.file)))
    except UnusableProof as error:
        raise Refused(f"{options.file}: {error}") from None
    checked = _checked(decision, keys, options)
    if options.json:
        print_json(_document(decision, checked))
    else:
        print_pairs([(name, value) for name, value in _document(decision, checked).items() if value is not None])
    if checked.verdict != "proven":
        raise Refused(f"{checked.verdict}: {checked.why}" if not options.json else "")


def _checked(decision: ProvenDecision, keys: list[PublicKey], options: argparse.Namespace) -> CheckedDecision:
    if decision.problem:
        return CheckedDecision("refuted", decision.problem, None, None)
    key = decision.signed_by(keys)
    if decision.locked:
        return CheckedDecision("unproven", decision.locked, key, None)
    rescored, differs, missing = None, "", "no bundle was given; expected: --bundle FOLDER"
    if options.bundle is not None:
        try:
            rescored, differs = _rescored(decision.receipt, Path(options.bundle), options.allow_pickle)
            missing = ""
        except Refused as error:  # another machine may load it: that says nothing of the receipt
            missing = str(error)
    if differs:
        return CheckedDecision("refuted", differs, key, rescored)
    if key is None:
        why = "no key was given; expected: --key PUBLIC, had from elsewhere" if not keys else "no given key signed it"
        return CheckedDecision("unproven", why, None, rescored)
    return CheckedDecision("unproven" if missing else "proven", missing, key, rescored)


def _rescored(receipt: Any, folder: Path, allow_pickle: bool) -> tuple[float | None, str]:
    """What the bundle answers to the receipt's features, and what contradicts the receipt.

    Raises:
        Refused: the bundle cannot be loaded.
    """
    try:
        digest = read_folder_manifest(folder).digest
        if digest != receipt["digest"]:
            return None, f"the bundle has the digest {digest}, the receipt {receipt['digest']}"
        model = loaded_bundle(folder, allow_pickle)
        [score] = ask(model.scorer, recorded_inputs([receipt["features"]], model.manifest.inputs)).tolist()
    except (NotScored, NotRecorded) as error:
        return None, f"the bundle does not answer to the receipt's features: {one_line(error)}"
    except (BundleRefused, StoreError) as error:
        raise Refused(f"{folder} cannot be loaded: {one_line(error)}") from None
    golden = model.manifest.golden
    tolerance = TOLERANCE if golden is None else golden.tolerance
    same = struct.pack("<d", score) == struct.pack("<d", receipt["score"])
    if same or abs(score - receipt["score"]) <= tolerance:
        return score, ""
    return score, f"the receipt says {receipt['score']!r}, the bundle answers {score!r}"


def _document(decision: ProvenDecision, checked: CheckedDecision) -> dict[str, Any]:
    receipt, statement, said = decision.receipt, decision.statement, decision.checkpoint.said
    scored = {
        name: receipt[name] for name in ("score_id", "event_id", "model", "version", "digest", "score", "decision")
    }
    return {
        "verdict": checked.verdict,
        "why": checked.why or None,
        **scored,
        "event_time": format_time_us(receipt["event_time"]),
        "scored_at": format_time_us(receipt["scored_at"]),
        "rescored": checked.rescored,
        "origin": said.origin,
        "segment": statement.number,
        "segments": said.size,
        "sealed_at": format_time_us(statement.sealed_at_us),
        "signed_by": None if checked.key is None else str(checked.key),
    }


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Refused(f"{path} has {path.stat().st_size} bytes; allowed: at most {MAX_BYTES}")
        return path.read_bytes()
    except OSError as error:
        raise Refused(f"{path} cannot be read: {one_line(error)}") from None
