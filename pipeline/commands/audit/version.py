"""`halflife audit version V`: what a version is, where it served, and what it answered."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audit.asking.advice import advice_pairs
from audit.asking.decision.sections import Section, access_row, model_pairs, shown
from audit.asking.moments import time_text
from audit.asking.sources import AuditSources, UnknownToAudit
from audit.asking.training.trained_on import read_records
from audit.asking.version import VersionPage, version_page
from pipeline.command_line.parsing import Arguments, OneLineParser
from pipeline.commands.audit.changes import changes_of_version, changes_section, known_changes
from pipeline.commands.audit.location import add_audit_options, asked, model_of
from pipeline.commands.audit.showing import print_page
from pipeline.commands.output import exit_code
from pipeline.reporting.printer import note
from schemas.errors import UnusableData
from schemas.validation import SpecError


def version(arguments: Arguments) -> int:
    """`halflife audit version V`; returns the exit code."""
    parser = OneLineParser("halflife audit version", "Show what a version is, where it served, and what it answered.")
    parser.add_argument("version", metavar="VERSION", help="the version's name")
    parser.add_argument("--records", metavar="FILE", help="write the file of its training records into this new file")
    add_audit_options(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _version(options), options.verbose)


def _version(options: argparse.Namespace) -> None:
    target = None if options.records is None else Path(options.records)
    if target is not None and target.exists():
        raise SpecError("--records", options.records, "a file that does not exist yet")
    with asked(options) as sources:
        model = model_of(options, sources)
        page = version_page(sources, model, options.version)
        page = page._replace(changes=changes_of_version(known_changes(options, model), options.version))
        if target is not None:
            _write_records(sources, page, target)
        print_page(page, _sections, options.json)


def _write_records(sources: AuditSources, page: VersionPage, target: Path) -> None:
    if page.manifest is None:
        lacks = f"{page.version!r} has no training records any more: {page.lacks}"
        raise UnknownToAudit(f"{lacks}; next: halflife models list")
    try:
        target.write_bytes(read_records(sources.store_of(page.model), page.manifest))
    except UnusableData as error:
        raise UnknownToAudit(f"{page.version!r}: {error}") from None
    note(f"the training records of {page.version} are in {target}")


def _sections(page: VersionPage) -> list[Section]:
    refused = [(each["release"], each["at"], each["job"], each["reason"], each["detail"]) for each in page.refused]
    admitted = [(each["release"], each["at"], each["job"], shown(each.get("warnings"))) for each in page.admitted]
    released = [
        (each["release"], each["role"], each["from"], each["until"], each["by"], each["reason"], _state(each))
        for each in (released.document() for released in page.releases)
    ]
    gates = [
        (each["at"], each["evidence"].get("decision"), each["evidence"].get("step"), each["release"], each["reason"])
        for each in page.gates
    ]
    advised = [(each["at"], each["id"], each["by"], each["reason"]) for each in page.advised]
    first, last = _time(page.first_us), _time(page.last_us)
    scores = [*page.scores.items(), *([("first event", first), ("last event", last)] if first else [])]
    parts = [
        Section(f"{page.model} {page.version}", (), [] if page.manifest is None else model_pairs(page.manifest)),
        Section("Not known", (), [("manifest", page.lacks)] if page.lacks else []),
        Section("Admitted", ("release", "at", "by job", "warnings"), admitted),
        Section("Refused", ("release", "at", "by job", "reason", "detail"), refused),
        Section("The advice it was trained on", (), [(name, each) for name, each in advice_pairs(page.advice) if each]),
        Section("Advice about it", ("at", "id", "by", "advice"), advised),
        Section("Gates", ("at", "decided", "step", "release", "because"), gates),
        Section("Released", ("release", "role", "from", "until", "by", "because", "no longer applies"), released),
        Section("Scores", (), list(scores)),
        changes_section(page.changes),
        Section("Who had access", ("at", "who", "did", "what"), [access_row(each) for each in page.accessed]),
    ]
    return [part for part in parts if part.rows]


def _state(release: Mapping[str, Any]) -> str:
    """Why a release serves no event time; empty for one that serves some."""
    if release["replaced_by"] is None:
        return "refused" if release["refused"] else ""
    return f"replaced by release {release['replaced_by']} at {release['replaced_at']}"


def _time(at_us: int | None) -> str | None:
    return None if at_us is None else time_text(at_us)
