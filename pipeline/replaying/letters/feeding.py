"""`halflife dead-letters replay`: the events of dead letters are scored after a fix, by the release of their time.

Where the job's source is there it is read once more: features come from its history, what was repaired in it counts,
and only the events of letters without a score are scored. Where it is gone, or is a topic, the letters' own payloads
are fed, unless features need the history that is gone.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from models.outages import temporary_folder
from pipeline.command_line.options import RunOptions
from pipeline.commands.output import print_table
from pipeline.endpoints.errors import NoInput
from pipeline.endpoints.matching import matching_files
from pipeline.endpoints.only_new.earlier_records import LetterChoice
from pipeline.endpoints.uris import FILE_SCHEMES, scheme_of
from pipeline.replaying.letters.known import known_letters
from pipeline.reporting.outcomes import RunFailed
from pipeline.reporting.printer import note, print_json, print_line
from pipeline.reporting.saying import guarded
from pipeline.run import EXPECTED, run_job
from pipeline.spec.privacy import refuse_privacy
from pipeline.spec.reading import read_spec

_LINES = ("json", "parquet", "arrow")
"""Formats of sources whose letters are lines of JSON: a row of Parquet or Arrow has no bytes of its own."""
_NO_RECORD = "UnreadableInput"
_HISTORY, _SCHEMA, _STRETCH = (
    "its source is gone, and windowed features need the history in it",
    "its source is gone, and with it the schema, or header, that its payload is read by",
    "its payload is a stretch of a file, not a record",
)


def replay_letters(options: RunOptions) -> int:
    """The verb; returns the exit code: 0 done, 1 failed or none could be fed, 2 bad usage."""
    return guarded(lambda: _replay(options, time.time()), options.verbose, EXPECTED, options.json)


def _replay(options: RunOptions, begun: float) -> None:
    document, problems = read_spec(options.job, options.settings)
    problems.check()
    refuse_privacy(document, "dead-letters replay", "tells letters by bytes in plain", "run the job again")
    choice = LetterChoice(*(options.letters or ()))
    letters = choice.of(known_letters(document))
    left = letters.filter(pc.invert(pc.fill_null(letters["scored"], False)))
    report: dict[str, Any] = {"job": document["job"], "letters": letters.num_rows, "open": left.num_rows}
    if not left.num_rows:
        _tell(options, {**report, "scored": 0, "kept": [], "read": "nothing"})
        return
    summary: dict[str, Any] | None
    if _has_source(document):
        summary, remark = run_job(options, begun)
        kept, read = _kept(left, _ids_scored(document)), "the source"
    else:
        kept, summary, remark = _fed(options, document, left, begun)
        read = "the letters' payloads"
    scored = summary["scored"] if summary else 0
    _tell(options, {**report, "scored": scored, "kept": _counted(kept), "read": read})
    if remark:
        note(remark)
    if not scored:
        raise RunFailed(f"none of {left.num_rows:,} dead letters is scored; expected: one or more after a fix")


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
    stretches = pc.equal(left["error"], _NO_RECORD)
    kept = _because(left.filter(stretches), _STRETCH)
    records = left.filter(pc.invert(stretches))
    reason = _not_alone(document)
    if reason or not records.num_rows:
        return [*kept, *_because(records, reason)], None, ""
    with _lines(records) as file:
        events = {"uri": str(file), "format": "json"}
        words = tuple(f"events.{name}={value}" for name, value in events.items())
        summary, remark = run_job(replace(options, settings=(*options.settings, *words)), begun)
    return [*kept, *_kept(records, _ids_scored(document))], summary, remark


def _not_alone(document: Mapping[str, Any]) -> str:
    """Why payloads alone are not enough; empty where they are."""
    windowed = any(isinstance(each, Mapping) and "key" in each for each in document["features"])
    if windowed:
        return _HISTORY
    return "" if document["events"].get("format") in _LINES else _SCHEMA


@contextmanager
def _lines(records: pa.Table) -> Iterator[Path]:
    """The payloads as a file of lines; each record once."""
    with temporary_folder("dead-letters") as folder:
        file = folder / "letters.json"
        payloads = dict.fromkeys(records["payload"].to_pylist())
        file.write_bytes(b"".join(payload.replace(b"\n", b" ") + b"\n" for payload in payloads))
        yield file


def _ids_scored(document: Mapping[str, Any]) -> pa.Table:
    return known_letters(document)


def _kept(left: pa.Table, now: pa.Table) -> list[tuple[str, str, str]]:
    """Of the letters that were open those that still are, with stage, error and what was said of them."""
    still = now.filter(pc.invert(pc.fill_null(now["scored"], False)))
    own = left.filter(pc.is_in(left["payload"], value_set=still["payload"].combine_chunks()))
    return [(row["stage"], row["error"], row["detail"]) for row in own.select(["stage", "error", "detail"]).to_pylist()]


def _because(letters: pa.Table, reason: str) -> list[tuple[str, str, str]]:
    return [(row["stage"], row["error"], reason) for row in letters.select(["stage", "error"]).to_pylist()]


def _counted(kept: list[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """By stage and error how many letters are kept, and why the first of them is."""
    numbers = Counter((stage, error) for stage, error, _ in kept)
    reasons = {(stage, error): reason for stage, error, reason in reversed(kept)}
    return [
        {"stage": stage, "error": error, "letters": number, "reason": reasons[stage, error]}
        for (stage, error), number in sorted(numbers.items())
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
