"""`halflife audit subject KEY`: all that is held on one person or thing."""

import argparse
from pathlib import Path

from audit.asking.decision.sections import Section
from audit.asking.sources import UnknownToAudit
from audit.asking.subject import SubjectPage, subject_page, write_files
from pipeline.command_line.parsing import Arguments, OneLineParser
from pipeline.commands.audit.given import add_given_option, given_section
from pipeline.commands.audit.location import add_audit_options, asked, letters_url, models_of, read_job
from pipeline.commands.audit.scores import COLUMNS, row_of
from pipeline.commands.audit.showing import print_sections
from pipeline.commands.output import exit_code
from pipeline.reporting.printer import note, print_json
from schemas.expectations import with_hint
from schemas.validation import SpecError


def subject(arguments: Arguments) -> int:
    """`halflife audit subject KEY`; returns the exit code."""
    parser = OneLineParser("halflife audit subject", "Show all that is held on one person, or write it into files.")
    parser.add_argument("subject", metavar="KEY", help="the subject, as the column events.subject has it")
    parser.add_argument("--out", metavar="FOLDER", help="write it as JSON and CSV into this new or empty folder")
    add_given_option(parser)
    add_audit_options(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _subject(options), options.verbose)


def _subject(options: argparse.Namespace) -> None:
    folder = None if options.out is None else Path(options.out)
    if folder is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SpecError("--out", options.out, "a folder that is new or empty")
    with asked(options) as sources:
        try:
            models, letters = models_of(options, sources), letters_url(options)
            page = subject_page(sources, options.subject, models, letters, options.scores)
        except UnknownToAudit as unknown:
            spec = read_job(options)
            if not spec or spec["events"].get("subject"):
                raise
            why = "; the job has no events.subject, so its receipts name no subject"
            raise UnknownToAudit(with_hint(str(unknown), why)) from None
        if folder is not None:
            written = ", ".join(path.name for path in write_files(page, folder))
            note(f"{folder} has {written}")
        if options.json:
            print_json(page.document())
        elif folder is None:
            print_sections(_sections(page))


def _sections(page: SubjectPage) -> list[Section]:
    trained = [
        (model, each.version, each.records, each.file)
        for model, found in page.training.items()
        for each in found.versions
    ]
    letters = [(each["at"], each["stage"], each["error"], each["detail"], each["file"]) for each in page.letters or ()]
    parts = [
        Section(f"Scores of subject {page.subject}", COLUMNS, [tuple(row_of(each.shown)) for each in page.scores]),
        Section("Versions trained on it", ("model", "version", "records", "in"), trained),
        given_section(list((page.given or {}).items())),
        Section("Dead letters that name it", ("at", "stage", "error", "detail", "file"), letters),
        Section("Not known", (), [("", why) for why in page.missing]),
    ]
    return [part for part in parts if part.rows]
