"""`halflife dead-letters list`: the letters by stage and error, with samples."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.command_line.options import add_letter_choice
from pipeline.command_line.parsing import OneLineParser
from pipeline.commands.output import exit_code, print_table
from pipeline.endpoints.only_new.earlier_records import LetterChoice
from pipeline.replaying.letters.known import known_letters
from pipeline.reporting.printer import print_json, print_line
from pipeline.spec.environment import JOB, from_environment
from pipeline.spec.reading import read_spec
from schemas.times import format_time_us

_SHOWN_BYTES = 200
_CLOSED = ("erased", "unreadable")


def list_letters(arguments: Sequence[str]) -> int:
    """The verb; returns the exit code: 0 done, 1 failed, 2 bad usage."""
    parser = OneLineParser("halflife dead-letters list", "Show a job's dead letters by stage and error.")
    parser.add_argument("--job", metavar="FILE", default=from_environment(JOB), help="the job's spec")
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="override a value of the spec")
    parser.add_argument("--samples", type=int, default=1, metavar="N", help="so many letters of each kind (1)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--verbose", action="store_true", help="show tracebacks")
    add_letter_choice(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _list(options), options.verbose)


def _list(options: Any) -> None:
    document, problems = read_spec(options.job, options.set)
    problems.check()
    letters = LetterChoice(options.stage, options.error).of(known_letters(document))
    kinds = grouped(letters, max(options.samples, 0))
    if options.json:
        print_json({"job": document["job"], "letters": letters.num_rows, "kinds": kinds})
        return
    if not kinds:
        print_line(f"no dead letters of job {document['job']} in {document['sinks']['dead_letters']}")
        return
    closed = [name for name in _CLOSED if any(each[name] for each in kinds)]
    names = ("stage", "error", "letters", "open", *closed, "first", "last")
    print_table((*names[:-2], "first event", "last event"), [[_cell(each[name]) for name in names] for each in kinds])
    for each in kinds:
        for sample in each["samples"]:
            print_line(f"  {each['stage']} {each['error']}: {sample['detail']}")
            print_line(f"    {sample['payload'][:_SHOWN_BYTES]}")


def grouped(letters: pa.Table, samples: int) -> list[dict[str, Any]]:
    """By stage and error, most letters first: how many there are, how many are `open` (their event has no score), the
    first and the last time of their events, and samples; with privacy how many cannot be read, since their key is
    destroyed (`erased`) or not there (`unreadable`).
    """
    found = []
    for kind in letters.group_by(["stage", "error"], use_threads=False).aggregate([]).to_pylist():
        own = LetterChoice(kind["stage"], kind["error"]).of(letters)
        times = own["event_time"].drop_null().cast(pa.int64())
        first, last = (format_time_us(bound(times).as_py()) if len(times) else None for bound in (pc.min, pc.max))
        is_open = pc.sum(pc.invert(pc.fill_null(own["scored"], False))).as_py()
        shown = [_sample(row) for row in own.slice(0, samples).to_pylist()]
        counts = {"letters": own.num_rows, "open": is_open or 0, "first": first, "last": last, **_closed(own)}
        found.append({**kind, **counts, "samples": shown})
    return sorted(found, key=lambda each: (-each["letters"], each["stage"], each["error"]))


def _closed(letters: pa.Table) -> dict[str, int]:
    why = letters["locked"].drop_null().to_pylist()
    return {kind: sum(said.startswith(kind) for said in why) for kind in _CLOSED}


def _sample(row: Mapping[str, Any]) -> dict[str, Any]:
    payload: bytes = row["payload"]
    try:
        text = {"payload": payload.decode()}
    except UnicodeDecodeError:
        text = {"payload": base64.b64encode(payload).decode(), "payload_in": "base64"}
    at = row["event_time"]
    return {"detail": row["detail"], "event_id": row["event_id"], "event_time": at and at.isoformat(), **text}


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else value or ""
