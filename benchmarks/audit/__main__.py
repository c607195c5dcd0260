"""`make bench-audit`: ten million receipts sealed, looked up and verified, each beside the naive way; writes
benchmarks/AUDIT.md.

    python -m benchmarks.audit --receipts 1000000
"""

import argparse
import hashlib
import io
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import yaml

from audit.files.audit import Audit
from audit.files.notes import new_key
from audit.files.sealed import SealedFiles
from audit.sealing.findings import AuditFindings
from audit.sealing.rescoring import Rescorer, rescore_segments
from audit.sealing.sealing import Sealer, SealLimits
from audit.sealing.verifying import AuditTrust, verify_segments
from benchmarks.arguments import positive_whole
from benchmarks.audit.private import cost_rows, job_costs
from benchmarks.audit.receipts import START_US, publish, write_receipts
from benchmarks.audit.replaying import MOST, naively, replayed
from benchmarks.table import machine, markdown
from benchmarks.workload import ROOT
from models.store.backends import Backend
from schemas.times import format_time_us, now_us

_ORIGIN = "halflife/flights"
_NAIVE = 200_000
_LOOKS = 200
_TRAINED = 1_000_000
_WITHOUT = {"score": ", --no_verify"}


class Cost(NamedTuple):
    """Seconds on the clock and of this process's CPU."""

    wall_s: float
    cpu_s: float


class Line(NamedTuple):
    """A figure: what it is of, how much, the bound of the design, and the figure of the naive way."""

    what: str
    measured: str
    bound: str = ""
    naive: str = ""


def timed(work: Callable[[], Any]) -> tuple[Any, Cost]:
    """What the work gives, and what it cost."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, Cost(time.perf_counter() - wall, time.process_time() - cpu)


def naive_merge(paths: Sequence[Path], most: int) -> float:
    """Records per second of CPU of a merge record by record: fastavro in and out, and a hash of each."""
    out, count, cpu = io.BytesIO(), 0, time.process_time()
    with paths[0].open("rb") as stream:
        reader = fastavro.reader(stream)
        rows = []
        for row in reader:
            rows.append(row)
            hashlib.sha256(json.dumps(row, default=str).encode()).digest()
            count += 1
            if count == most:
                break
        fastavro.writer(out, reader.writer_schema or {}, rows, codec="zstandard")
    return count / (time.process_time() - cpu)


def look_ups(audit: Audit, name: Any, values: Sequence[str]) -> tuple[float, float]:
    """The median and the greatest time of a look-up, milliseconds."""
    taken = []
    for value in values:
        began = time.perf_counter()
        assert audit.find(name, value)
        taken.append((time.perf_counter() - began) * 1e3)
    return statistics.median(taken), max(taken)


def whole_command(job: Path, *words: str) -> Cost:
    """A command with its start: the least of three on the clock, with its CPU."""
    taken = []
    command = [sys.executable, "-m", "pipeline.cli", "audit", *words, "--job", str(job), "--json"]
    for _ in range(3):
        began, before = time.perf_counter(), os.times()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(words)}: {done.stderr}")
        after = os.times()
        cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
        taken.append(Cost(time.perf_counter() - began, cpu_s))
    return min(taken)


def altered_is_found(audit: Path) -> str:
    """Changes one byte in the middle of the last segment's container, and verifies all of it: what is named first."""
    path = max((audit / "sealed").glob("*/receipts.avro"))
    kept = audit / "kept"
    shutil.copy(path, kept)
    with path.open("r+b") as stream:
        stream.seek(path.stat().st_size // 2)
        byte = stream.read(1)
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes([byte[0] ^ 1]))
    findings = AuditFindings()
    verify_segments(Backend(str(audit)), AuditTrust(), findings)
    kept.replace(path)
    return next(value for values in findings.lists.values() for value in values)


def measured(folder: Path, receipts: int) -> list[Line]:
    """All figures, in order."""
    trained = min(receipts, _TRAINED)
    audit, store = folder / "audit", publish(str(folder / "store"), folder / "payload", trained)
    write_receipts(audit, store, receipts, 4_000)
    paths = sorted((audit / "receipts").iterdir())
    with paths[-1].open("rb") as stream:
        last: dict[str, Any] = next(row for row in fastavro.reader(stream) if isinstance(row, dict))
    naive = f"{naive_merge(paths, _NAIVE):,.0f} (fastavro, one by one)"
    naive_replay = naively(paths[0], store.read_manifest("v1"), folder, _NAIVE)
    sealer = Sealer(Backend(str(audit)), _ORIGIN, new_key(_ORIGIN), SealLimits(1_000_000), now_us)
    done, cost = timed(sealer.seal)
    rates = f"{receipts / cost.cpu_s:,.0f} ({receipts / cost.wall_s:,.0f}/s on the clock)"
    bytes_each = [
        sum(each.stat().st_size for each in (audit / "sealed").glob(f"*/{name}")) / receipts
        for name in ("receipts.avro", "index", "summary")
    ]
    return [
        Line("sealing, receipts per second of CPU", rates, naive=naive),
        Line("bytes a receipt: container, index, summary", ", ".join(f"{each:.3g}" for each in bytes_each)),
        *_looked_up(audit, last, len(done.segments)),
        *_commands(folder, audit, store.url, last),
        *_replayed(folder, f"{naive_replay:,.0f} (fastavro, one by one)"),
        *_walked(audit, store.url, receipts, naive),
    ]


def _looked_up(audit: Path, last: dict[str, Any], segments: int) -> list[Line]:
    opened = Audit(str(audit))
    sealed = SealedFiles(Backend(str(audit))).refresh()
    chosen = sealed * (_LOOKS // segments)
    rows = [number * 7919 % each.statement.records for number, each in enumerate(chosen)]
    some = [next(each.records([row])).columns for each, row in zip(chosen, rows, strict=True)]
    needle = str(last["score_id"]).encode()
    _, scanned = timed(lambda: sum(needle in block.data for each in sealed for block in each.blocks()))
    lines = []
    for name in ("score_id", "event_id"):
        median, greatest = look_ups(opened, name, [str(each.column(name)[0]) for each in some])
        naive = f"{scanned.wall_s * 1e3:,.0f} ms (its bytes searched in all blocks)"
        took = f"{median:.1f} ms, at most {greatest:.1f} ms"
        lines.append(Line(f"look-up by {name}, {len(some)} of them in {segments} segments", took, "50 ms", naive))
    subject = str(last["subject"])
    median, _ = look_ups(opened, "subject", [subject] * 3)
    return [*lines, Line(f"all {len(opened.find('subject', subject)):,} receipts of a subject", f"{median:,.0f} ms")]


def _commands(folder: Path, audit: Path, store_url: str, last: dict[str, Any]) -> list[Line]:
    job, out = folder / "job.yaml", str(folder / "decision.json")
    job.write_text(yaml.safe_dump(_spec(folder, audit, store_url)), encoding="utf-8")
    score_id, event_id, subject = (str(last[name]) for name in ("score_id", "event_id", "subject"))
    asked = {
        "score": [score_id, "--no_verify"],
        "event": [event_id],
        "subject": [subject],
        "record": [event_id],
        "at": ["2013-02-01"],
        "version": ["v1"],
        "export": [score_id, "--out", out],
    }
    took = {verb: whole_command(job, verb, *words) for verb, words in asked.items()}
    datum = Audit(str(audit)).find("score_id", score_id)[0].datum
    beyond = Path(out).stat().st_size - len(datum)
    lines = [
        Line(
            f"whole `audit {verb}` with its start{_WITHOUT.get(verb, '')}",
            f"{each.wall_s:.2f} s (CPU {each.cpu_s:.2f} s)",
            "2 s",
        )
        for verb, each in took.items()
    ]
    return [*lines, Line("an exported decision beyond its receipt", f"{beyond:,} bytes", "4,096 bytes")]


def _replayed(folder: Path, naive: str) -> list[Line]:
    lines = []
    until = format_time_us(START_US + MOST * 3_000_000)
    for which, words in (("as recorded", ["--as_recorded"]), ("by a version", ["--version", "v1"])):
        count, cpu_s, wall_s = replayed(folder / "job.yaml", folder / which, until, words)
        rate = f"{count / cpu_s:,.0f} ({count / wall_s:,.0f}/s on the clock)"
        lines.append(Line(f"replay of {count:,} receipts {which}, receipts per second of CPU", rate, "200,000", naive))
    return lines


def _walked(audit: Path, store_url: str, receipts: int, naive: str) -> list[Line]:
    findings = AuditFindings()
    segments, cost = timed(lambda: verify_segments(Backend(str(audit)), AuditTrust(), findings))
    assert (findings.lists and findings.sound, findings.receipts) == (True, receipts), findings.lists
    rate = f"{receipts / cost.cpu_s:,.0f} ({cost.wall_s:.0f} s for all)"
    named = altered_is_found(audit).partition("/receipts.avro: ")[2]
    some = segments[:1]
    count = sum(each.statement.records for each in some)
    _, again = timed(lambda: rescore_segments(some, Rescorer(store_url, False, findings), None))
    assert (findings.verified, findings.mismatches) == (count, [])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return [
        Line("verifying the chain, receipts per second of CPU", rate, "100,000", naive),
        Line(f"one flipped bit in {receipts:,} receipts", f"found: {named}", "found"),
        Line("scoring again (linear), receipts per second of CPU", f"{count / again.cpu_s:,.0f}"),
        Line("greatest memory of all of this", f"{peak:,} MiB"),
    ]


def _spec(folder: Path, audit: Path, store_url: str) -> dict[str, Any]:
    return {
        "job": "flights",
        "events": {"uri": str(folder / "none.avro"), "format": "avro", "event_id": "id", "event_time": "at"},
        "features": ["dep_delay"],
        "model": {"name": "delays", "store": store_url},
        "sinks": {"audit": str(audit)},
    }


def page(lines: Sequence[Line], receipts: int, load: float) -> str:
    """The whole page."""
    how = f"""\
{receipts:,} receipts of a linear model with 6 inputs, of 4,000 subjects, in files of 500,000, sealed into segments of
about a million with a signed checkpoint each. Rates are per second of CPU of one process, since the machine is shared:
its load was {load:.1f} on {os.cpu_count()} cores while this ran. Look-ups and commands are on the clock, the latter
with their CPU, which is what they take where nothing else runs. A replay is `halflife replay --receipts` with all that
it does: it reads the receipts, scores them, makes their ids, compares the scores, and writes new scores and receipts.
Its CPU is that of all its threads, without the start of the program. The version was trained on
{min(receipts, _TRAINED):,} events, a Parquet file of ids and ten numbers, which `record` and `subject` look through."""
    ways = f"""\
The naive way of sealing and verifying reads each record with `fastavro`, hashes it and writes it again; that of a
replay scores it by a loop over its inputs meanwhile. It was given the first {_NAIVE:,} receipts. How it is done:
[proof](../docs/audit-proof.md); why so: [decision](../docs/decisions/audit-files.md)."""
    table = markdown(["what", "measured", "bound", "naive way"], [list(each) for each in lines])
    parts = ("# The audit at size", "Written by `make bench-audit`.", machine(), how, table, ways)
    return "\n\n".join(parts) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit", description="Measure the audit at size.")
    parser.add_argument("--receipts", type=positive_whole, default=10_000_000)
    parser.add_argument("--data", type=Path, help="a year of flights (make data): measure what it costs a job, too")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "AUDIT.md")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="halflife-bench-audit-") as folder:
        lines = measured(Path(folder), options.receipts)
        if options.data is not None:
            lines += [Line(*row) for row in cost_rows(job_costs(options.data, Path(folder)))]
    options.out.write_text(page(lines, options.receipts, os.getloadavg()[2]), encoding="utf-8")
    sys.stdout.write(options.out.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
