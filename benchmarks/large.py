"""More than 2 GiB of JSON lines in one bounded run; writes the page `benchmarks/LARGE.md`.

A column of texts or bytes in Arrow has offsets of 32 bits, and events carry their original bytes: a step that gathers
all events of a shard must not put them into one column.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from models.store.store import ModelStore

GIB = 1024**3
MANIFEST: dict[str, Any] = {
    "scorer": "linear",
    "version": "v1",
    "inputs": [{"name": "x", "type": "number"}],
    "output": {"kind": "regression"},
    "linear": {"intercept": 0.0, "coefficients": {"x": 2.0}, "means": {}, "scales": {}, "categories": {}},
    "training": {"trained_at": "2024-01-01T00:00:00Z"},
    "created_by": "benchmarks",
}


def write_lines(folder: Path, total: int, line_bytes: int, files: int = 4) -> int:
    """Writes JSON lines of so many bytes in total, in several files; returns how many lines."""
    count, filler = -(-total // line_bytes), "abcdefghij" * (line_bytes // 10)
    for part in range(files):
        with (folder / f"in-{part}.json").open("w") as stream:
            for number in range(part, count, files):
                at = 1_704_067_200_000_000 + number * 1_000_000
                event = {"id": str(number), "t": at, "x": 1.0, "k": "ab"[number % 2], "unread": filler}
                stream.write(json.dumps(event) + "\n")
    return count


def write_job(folder: Path) -> Path:
    """A job with a windowed feature, so that events are tracked, grouped and joined."""
    store = ModelStore(str(folder / "store"), "m")
    (folder / "payload").mkdir()
    store.publish(folder / "payload", MANIFEST)
    store.append_release(champion="v1", effective_from_us=0, by="benchmarks")
    events = {"uri": str(folder / "in-*.json"), "format": "json", "event_id": "id", "event_time": "t"}
    count = {"name": "n", "key": "k", "aggregate": "count", "size": "1h", "every": "5m"}
    sinks = {name: str(folder / name) for name in ("scores", "audit", "dead_letters")}
    job = {"job": "large", "events": events, "features": ["x", count], "sinks": sinks}
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(job | {"model": {"name": "m", "store": str(folder / "store")}}))
    return path


def measure(folder: Path, total: int, line_bytes: int) -> str:
    """Runs the job over so many bytes; returns the row of the page. Raises `SystemExit` if it fails or loses a line."""
    lines, summary, started = write_lines(folder, total, line_bytes), folder / "summary.json", time.time()
    command = [sys.executable, "-m", "pipeline", "--job", str(write_job(folder)), "--summary", str(summary)]
    code = subprocess.run(command, check=False).returncode
    if code:
        raise SystemExit(f"the run over {total} bytes ended with exit code {code}; expected 0")
    scored = json.loads(summary.read_text())["scored"]
    if scored != lines:
        raise SystemExit(f"{scored} of {lines} lines were scored; expected all")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
    return f"| {total / GIB:.1f} | {line_bytes:,} | {lines:,} | {time.time() - started:.0f} | {peak:.1f} |"


def main() -> None:
    """Measures lines of two sizes and writes the page."""
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--gib", type=float, default=2.2, help="GiB of JSON lines in a run")
    given.add_argument(
        "--line_bytes", type=int, nargs="*", default=[100_000, 2_000], help="bytes of a line, of each run"
    )
    options, rows = given.parse_args(), []
    for line_bytes in options.line_bytes:
        with tempfile.TemporaryDirectory(prefix="halflife-large-") as folder:
            rows.append(measure(Path(folder), int(options.gib * GIB), line_bytes))
    head = "| GiB of JSON lines | bytes a line | lines | seconds | GiB of memory at most |\n|---|---|---|---|---|"
    text = (
        "# More than 2 GiB in one bounded run\n\n"
        "`make bench-large` writes this page: one DirectRunner process, one windowed feature, every line scored "
        f"({os.cpu_count()} cores). A bounded run holds its events in memory, original bytes included.\n\n"
        + "\n".join([head, *rows])
        + "\n"
    )
    (Path(__file__).parent / "LARGE.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
