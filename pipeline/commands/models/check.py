"""`halflife models check`: the whole admission on this machine, before a job does it."""

import argparse
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from models.admission.admission import Verdict
from models.bundles.folders import read_folder_manifest
from models.bundles.manifest import Manifest
from pipeline.command_line.parsing import (
    Arguments,
    OneLineParser,
    add_actor_option,
    add_admission_options,
    add_store_options,
)
from pipeline.command_line.private_bundles import privacy_text
from pipeline.command_line.reason_texts import coverage_of
from pipeline.commands.models.location import (
    StatedJob,
    admission_at,
    find_location,
    folder_admission,
    read_job_spec,
    refuse_absent,
)
from pipeline.commands.output import Refused, exit_code
from pipeline.reporting.printer import note, print_json, print_line
from schemas.expectations import did_you_mean, with_hint


def check(arguments: Arguments) -> int:
    """`halflife models check FOLDER|VERSION`; returns the exit code: 1 when refused."""
    parser = OneLineParser("halflife models check", "Give a bundle every proof that a job would ask of it.")
    parser.add_argument(
        "bundle", metavar="FOLDER|VERSION",
        help="a bundle's folder (it exists, or its name has a /), or a version in the store",
    )  # fmt: skip
    add_admission_options(parser)
    add_actor_option(parser)
    add_store_options(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _check(options), options.verbose)


def _check(options: argparse.Namespace) -> None:
    verdict, manifest = _verdict(options, StatedJob(options).columns)
    verdict = replace(verdict, warnings=(*verdict.warnings, *_in_plain(options, manifest)))
    if options.json:
        found = {"admitted": verdict.admitted, "reason": verdict.reason, "detail": verdict.detail}
        words = {"reason_texts": coverage_of(manifest)} if manifest is not None and manifest.reasons else {}
        private = {} if manifest is None or manifest.privacy is None else {"privacy": asdict(manifest.privacy)}
        print_json(found | words | private | ({"warnings": list(verdict.warnings)} if verdict.warnings else {}))
    elif manifest is not None:
        print_line(f"admitted: {verdict.version} with digest {verdict.digest}")
        print_line(_coverage(coverage_of(manifest)))
        if (hides := privacy_text(manifest)) is not None:
            print_line(f"privacy: {hides}")
        for warning in verdict.warnings:
            note(f"warning: {warning}")
    else:
        raise Refused(f"refused: {verdict.reason}: {verdict.detail}")
    if not verdict.admitted:
        raise Refused


def _in_plain(options: argparse.Namespace, manifest: Manifest | None) -> tuple[str, ...]:
    """A warning of a bundle that may hold values of persons, where the job has privacy."""
    has_privacy = manifest is not None and "privacy" in read_job_spec(options)
    if manifest is None or not has_privacy or manifest.privacy is not None or not manifest.holds_rows:
        return ()
    return ("it was published without privacy: training records, golden records and profile are in plain",)


def _coverage(words: Mapping[str, Any]) -> str:
    """Which inputs have texts for reasons, in one line."""
    suppressed = f", {len(words['suppressed'])} suppressed" if words["suppressed"] else ""
    missing = f"; none for {', '.join(words['missing'])}" if words["missing"] and words["with_texts"] else ""
    return f"reasons: texts for {words['with_texts']} of {words['inputs']} inputs{suppressed}{missing}"


def _verdict(options: argparse.Namespace, columns: dict[str, str] | None) -> tuple[Verdict, Manifest | None]:
    """The verdict, and the manifest of what is admitted."""
    folder = Path(options.bundle)
    if folder.is_dir() or "/" in options.bundle or not (options.store or options.job):
        verdict = folder_admission(options, columns).check_folder(folder)
        return verdict, read_folder_manifest(folder) if verdict.admitted else None
    location = find_location(options)
    known = location.store.has_version(options.bundle)
    if not known:
        refuse_absent(options, location.store)
    location.store.record_access("check", options.by, version=options.bundle)
    verdict = admission_at(location, columns).check_version(options.bundle)
    hint = "" if verdict.admitted or known else did_you_mean(options.bundle, location.store.versions())
    manifest = location.store.read_manifest(options.bundle) if verdict.admitted else None
    return replace(verdict, detail=with_hint(verdict.detail, hint)), manifest
