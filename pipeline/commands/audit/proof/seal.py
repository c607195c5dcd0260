"""`halflife audit seal`: what jobs wrote becomes sealed segments."""

import argparse
import threading

from audit.files.chain import BrokenChain, SealedMeanwhile
from audit.files.segments import UnusableSegment
from audit.sealing.opening import open_sealer
from audit.sealing.sealing import Sealed, Sealer, SealLimits
from pipeline.command_line.parsing import Arguments, OneLineParser, add_output_options, duration, positive
from pipeline.commands.audit.location import audit_url, read_job
from pipeline.commands.output import Refused, exit_code, print_table
from pipeline.process.audit_key import private_key
from pipeline.reporting.printer import note, out, print_json
from pipeline.spec.environment import JOB, from_environment
from pipeline.spec.job import with_defaults
from schemas.times import format_time_us, now_us, parse_duration_us


def seal(arguments: Arguments) -> int:
    """`halflife audit seal`; returns the exit code."""
    parser = OneLineParser(
        "halflife audit seal", "Merge what jobs wrote into sealed segments, with index, hash tree and checkpoint."
    )
    parser.add_argument("--audit", metavar="URL", help="the audit (default: sinks.audit of the job)")
    parser.add_argument("--job", metavar="FILE", default=from_environment(JOB), help=f"the job spec (default: {JOB})")
    parser.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", dest="settings",
        help="override one value of the job spec",
    )  # fmt: skip
    parser.add_argument("--follow", action="store_true", help="go on until interrupted, and wait for size or age")
    parser.add_argument(
        "--every", type=duration, default=60_000_000, metavar="D", help="how often to look (default: 1m)"
    )
    parser.add_argument(
        "--max_rows", type=positive, metavar="N", help="records of a segment (default: audit.seal.size)"
    )
    parser.add_argument("--max_age", type=duration, metavar="D", help="how long a file waits (default: audit.seal.age)")
    add_output_options(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _seal(options), options.verbose)


def sealer_of(options: argparse.Namespace) -> Sealer:
    """What seals the audit that the options name.

    Raises:
        SpecError: it is not named, or the key cannot be read.
        BrokenChain: its checkpoints do not follow from each other.
    """
    spec = read_job(options)
    said = with_defaults(spec, "audit")
    key = private_key(said["key"]) if said.get("key") else None
    size = options.max_rows or said["seal"].get("size", said["seal.size"])
    age_us = options.max_age
    if age_us is None and options.follow:
        age_us = parse_duration_us(said["seal"].get("age", said["seal.age"]))
    return open_sealer(audit_url(options, spec), str(spec.get("job", "audit")), key, SealLimits(size, age_us))


def _seal(options: argparse.Namespace) -> None:
    try:
        sealer = sealer_of(options)
        while True:
            done = sealer.seal()
            _say(done, options)
            if not options.follow:
                break
            threading.Event().wait(options.every / 1e6)
    except (BrokenChain, SealedMeanwhile, UnusableSegment) as error:
        raise Refused(str(error)) from None
    if done.broken:
        raise Refused


def _say(done: Sealed, options: argparse.Namespace) -> None:
    sealed = [(each.number, each.kind, each.records, each.merged, each.root) for each in done.segments]
    columns = ("segment", "kind", "records", "files", "root")
    if options.json and (sealed or not options.follow):
        segments = [dict(zip(columns, row, strict=True)) for row in sealed]
        print_json({"at": format_time_us(now_us()), "sealed": segments, "broken": done.broken, "removed": done.removed})
    elif sealed:
        print_table(columns, sealed)
    elif not options.follow:
        note("nothing is to be sealed")
    out().flush()  # who follows reads it as it comes
    for key in done.removed:
        note(f"{key} is removed: a sealing that was killed had left it")
    for key, why in done.broken.items():
        note(f"{key} is not sealed: {why}", "error")
