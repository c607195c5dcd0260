"""`halflife dead-letters replay`: the events of dead letters are scored after a fix, by the release of their time.

Where the job's source is there it is read once more: features come from its history, what was repaired in it counts,
and only the events of letters without a score are scored. Where it is gone, or is a topic, the letters' own payloads
are fed, unless features need the history that is gone.
"""

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.command_line.options import RunOptions
from pipeline.commands.output import print_table
from pipeline.endpoints.errors import NoInput
from pipeline.endpoints.matching import matching_files
from pipeline.endpoints.only_new.earlier_records import LetterChoice
from pipeline.endpoints.uris import FILE_SCHEMES, scheme_of
from pipeline.replaying.letters.known import known_letters
from pipeline.replaying.letters.payloads import parts_of
from pipeline.replaying.letters.written import ToldOfInput, told_by_audit
from pipeline.reporting.outcomes import RunFailed
from pipeline.reporting.printer import note, print_json, print_line
from pipeline.reporting.saying import guarded
from pipeline.run import EXPECTED, run_job
from pipeline.spec.reading import read_spec

_UNTYPED = ("csv", "tfexample")  # formats whose bytes do not say the types of columns
_NO_RECORD, _EMPTIED = "UnreadableInput", "SubjectErased"
_LOCKED = ("stage", "error", "locked")
_CLOSED = ("erased: ", "unreadable: ")
_HISTORY, _STRETCH, _NO_BYTES, _FORMAT = (
    "its source is gone, and windowed features need the history in it",
    "its payload is a stretch of a file, not a record",
    "its source is gone, and no bytes of it are kept: its subject was erased when it came",
    "its source is gone, and neither events.format nor the audit says what its payload is",
)


def replay_letters(options: RunOptions) -> int:
    """The verb; returns the exit code: 0 done, 1 failed or none could be fed, 2 bad usage."""
    return guarded(lambda: _replay(options, time.time()), options.verbose, EXPECTED, options.json)


def _replay(options: RunOptions, begun: float) -> None:
    document, problems = read_spec(options.job, options.settings)
    problems.check()
    choice = LetterChoice(*(options.letters or ()))
    letters = choice.of(known_letters(document))
    left = letters.filter(pc.invert(pc.fill_null(letters["scored"], False)))
    report: dict[str, Any] = {"job": document["job"], "letters": letters.num_rows, "open": left.num_rows}
    locked, left = _parted(left)
    if not left.num_rows:
        _tell(options, {**report, "scored": 0, "kept": _counted(_locked(locked)), "read": "nothing"})
        _check_readable(locked)
        return
    summary: dict[str, Any] | None
    if _has_source(document):
        summary, remark = run_job(options, begun)
        kept, read = _kept(left, _ids_scored(document)), "the source"
    else:
        kept, summary, remark = _fed(options, document, left, begun)
        read = "the letters' payloads"
    scored = summary["scored"] if summary else 0
    _tell(options, {**report, "scored": scored, "kept": _counted([*_locked(locked), *kept]), "read": read})
    if remark:
        note(remark)
    _check_readable(locked)
    if not scored:
        raise RunFailed(f"none of {left.num_rows:,} dead letters is scored; expected: one or more after a fix")


def _parted(letters: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The letters that are encrypted and cannot be read, and the others."""
    return letters.filter(letters["locked"].is_valid()), letters.filter(letters["locked"].is_null())


def _locked(letters: pa.Table) -> list[tuple[str, str, str]]:
    return [(row["stage"], row["error"], row["locked"]) for row in letters.select(_LOCKED).to_pylist()]


def _check_readable(locked: pa.Table) -> None:
    """Raises `RunFailed` where letters have no key: what an erasure destroyed is gone on purpose."""
    without = [why for _, _, why in _locked(locked) if not why.startswith("erased")]
    if without:
        raise RunFailed(f"{len(without):,} dead letters stay closed: {without[0]}; next: look at privacy.keys")


def _has_source(document: Mapping[str, Any]) -> bool:
    uri = document["events"]["uri"]
    if scheme_of(uri) not in FILE_SCHEMES:
        return False
    try:
        return bool(matching_files(uri))
    except NoInput:
        return False


def _fed(
    options: RunOptions, document: Mapping[str, Any], left: pa.Table, begun: float
) -> tuple[list[tuple[str, str, str]], dict[str, Any] | None, str]:
    """Feeds the payloads of those letters that can be fed; what is kept, with its reason."""
    stretches, emptied = pc.equal(left["error"], _NO_RECORD), pc.equal(left["error"], _EMPTIED)
    kept = [*_because(left.filter(stretches), _STRETCH), *_because(left.filter(emptied), _NO_BYTES)]
    records = left.filter(pc.invert(pc.or_(stretches, emptied)))
    if not records.num_rows:
        return kept, None, ""
    if any(isinstance(each, Mapping) and "key" in each for each in document["features"]):
        return [*kept, *_because(records, _HISTORY)], None, ""
    told = told_by_audit(document)
    form = document["events"].get("format") or told.events.get("format")
    if form is None:
        return [*kept, *_because(records, _FORMAT)], None, ""
    stated = _columns(document, told) if form in _UNTYPED else ()
    scored, remarks, fed = 0, [], list[pa.Table]()
    for part in parts_of(records, form, document, told):
        if part.why:
            kept += _because(part.letters, part.why)
            continue
        fed.append(part.letters)
        with part.written() as words:
            summary, remark = run_job(replace(options, settings=(*options.settings, *stated, *words)), begun)
        scored += summary["scored"] if summary else 0
        remarks += [remark] if remark else []
    if not fed:
        return kept, None, ""
    return [*kept, *_kept(pa.concat_tables(fed), _ids_scored(document))], {"scored": scored}, "; ".join(remarks)


def _columns(document: Mapping[str, Any], told: ToldOfInput) -> tuple[str, ...]:
    """The setting that states the columns as the last run had them, where the spec does not: a few letters, which did
    not fit, are no sample of the input."""
    known = told.events.get("columns")
    return () if document["events"].get("columns") or not known else (f"events.columns={json.dumps(known)}",)


def _ids_scored(document: Mapping[str, Any]) -> pa.Table:
    return known_letters(document)


def _kept(left: pa.Table, now: pa.Table) -> list[tuple[str, str, str]]:
    """Of the letters that were open those that still are, with stage, error and what was said of them."""
    still = now.filter(pc.invert(pc.fill_null(now["scored"], False)))
    still = _parted(still)[1]
    own = left.filter(pc.is_in(left["payload"], value_set=still["payload"].combine_chunks()))
    return [(row["stage"], row["error"], row["detail"]) for row in own.select(["stage", "error", "detail"]).to_pylist()]


def _because(letters: pa.Table, reason: str) -> list[tuple[str, str, str]]:
    return [(row["stage"], row["error"], reason) for row in letters.select(["stage", "error"]).to_pylist()]


def _counted(kept: list[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """By stage and error how many letters are kept, and why the first of them is; those that cannot be read apart."""
    kinds = [(stage, error, reason if reason.startswith(_CLOSED) else "") for stage, error, reason in kept]
    numbers = Counter(kinds)
    reasons = {kind: reason for kind, (*_, reason) in zip(reversed(kinds), reversed(kept), strict=True)}
    return [
        {"stage": kind[0], "error": kind[1], "letters": number, "reason": reasons[kind]}
        for kind, number in sorted(numbers.items())
    ]


def _tell(options: RunOptions, report: Mapping[str, Any]) -> None:
    if options.json:
        print_json(report)
        return
    print_line(
        f"{report['letters']:,} dead letters of job {report['job']}, {report['open']:,} of them without a score; "
        f"{report['scored']:,} scored now from {report['read']}"
    )
    if report["kept"]:
        print_table(("stage", "error", "kept", "for example"), [list(each.values()) for each in report["kept"]])
