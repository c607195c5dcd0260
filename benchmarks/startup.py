"""`make bench-startup`: what a start costs with and without bytecode; writes benchmarks/STARTUP.md.

    python -m benchmarks.startup --rounds 3
    python -m benchmarks.startup --vs ../before    # a table that compares this checkout with another one
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.arguments import positive_whole
from benchmarks.table import machine, markdown
from benchmarks.workload import ROOT
from models.store.store import ModelStore

_EVENTS = 40
COMMANDS: Mapping[str, Sequence[str]] = {
    "import apache_beam": ("-c", "import apache_beam"),
    "halflife --help": ("-m", "pipeline.cli", "--help"),
    "halflife models --help": ("-m", "pipeline.cli", "models", "--help"),
    "python -m pipeline --help": ("-m", "pipeline", "--help"),
}
MANIFEST: Mapping[str, Any] = {
    "scorer": "linear",
    "version": "1",
    "inputs": [{"name": "delay", "type": "integer", "nullable": True, "default": 0}],
    "output": {"kind": "probability"},
    "linear": {"intercept": -1.0, "coefficients": {"delay": 0.1}, "means": {}, "scales": {}, "categories": {}},
    "training": {"trained_at": "2025-12-01T00:00:00Z"},
    "created_by": "benchmarks",
}


class Cost(NamedTuple):
    """Of one process: seconds of wall time and of processor time."""

    wall_s: float
    cpu_s: float


def measured(words: Sequence[str], environment: Mapping[str, str], root: Path = ROOT) -> Cost:
    """One process from its start to its end, of the checkout `root`. Raises `CalledProcessError` if it fails."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    ours = {**environment, "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, *words], cwd=root, env=ours, check=True, capture_output=True)
    wall_s, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def small_job(work: Path) -> Path:
    """The spec of a job over a few events; its linear model is published and released."""
    started = datetime(2026, 1, 1, tzinfo=UTC)
    with (work / "events.json").open("w") as lines:
        for number in range(_EVENTS):
            at = (started + timedelta(seconds=number)).isoformat()
            lines.write(json.dumps({"id": f"e{number}", "at": at, "delay": number % 90}) + "\n")
    (work / "payload").mkdir()
    store = ModelStore(str(work / "store"), "m")
    store.publish(work / "payload", MANIFEST)
    store.append_release(champion="1", effective_from_us=0, by="benchmarks")
    return spec_of(work, "m")


def spec_of(work: Path, model: str) -> Path:
    """The spec of a job over the events by that model."""
    spec = {
        "job": "small",
        "events": {"uri": str(work / "events.json"), "format": "json", "event_id": "id", "event_time": "at"},
        "features": ["delay"],
        "model": {"name": model, "store": str(work / "store")},
        "sinks": {name: str(work / model / name) for name in ("scores", "audit", "dead_letters")},
    }
    (work / f"{model}.yaml").write_text(json.dumps(spec))  # JSON is YAML
    return work / f"{model}.yaml"


def publish_sklearn(work: Path) -> Path:
    """The spec of the same job by a regression of scikit-learn, which is published and released."""
    import skops.io
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = [[float(delay)] for delay in range(90)]
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, [delay > 45 for [delay] in rows])
    (work / "sk").mkdir()
    skops.io.dump(fitted, work / "sk" / "model.skops")
    output = {"kind": "probability", "positive": "True"}
    manifest = {**MANIFEST, "scorer": "sklearn", "output": output}
    del manifest["linear"]
    store = ModelStore(str(work / "store"), "s")
    store.publish(work / "sk", manifest)
    store.append_release(champion="1", effective_from_us=0, by="benchmarks")
    return spec_of(work, "s")


def against(before: Path, rounds: int, work: Path) -> list[list[str]]:
    """A row for each command of this checkout and of another one, measured in turn with bytecode; medians."""
    job, sklearn = ("--sinks", "replace", "--job", str(work / "m.yaml")), publish_sklearn(work)
    models = ("-m", "pipeline.cli", "models")
    located = ("--store", str(work / "store"), "--model", "s")
    commands = {
        **{name: words for name, words in COMMANDS.items() if name.endswith("--help")},
        "halflife models list": (*models, "list", *located),
        "halflife models check, scikit-learn": (*models, "check", "1", *located),
        "halflife models release, scikit-learn": (*models, "release", "--champion", "1", *located),
        f"python -m pipeline, {_EVENTS} events": ("-m", "pipeline", *job),
        f"python -m pipeline, {_EVENTS} events, scikit-learn": ("-m", "pipeline", *job[:3], str(sklearn)),
    }
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    rows = []
    for name, words in commands.items():
        costs = [[measured(words, environment, root) for root in (before, ROOT)] for _ in range(rounds + 1)][1:]
        medians = [statistics.median(one[side][quantity] for one in costs) for side in (0, 1) for quantity in (0, 1)]
        rows.append([name, *(f"{value:.2f}" for value in medians)])
    return rows


def compared(rounds: int, work: Path) -> list[list[str]]:
    """A row for each command; with and without are measured in turn, and the medians shown."""
    whole_run = ("-m", "pipeline", "--job", str(small_job(work)))
    commands = {**COMMANDS, f"python -m pipeline, {_EVENTS:,} events": whole_run}
    written = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    none = written | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": str(work / "empty")}
    rows = []
    for name, words in commands.items():
        measured(words, written)  # writes what is not written yet
        pairs = [(measured(words, written), measured(words, none)) for _ in range(rounds)]
        medians = [
            statistics.median(cost[quantity] for cost in side)
            for side in zip(*pairs, strict=True)
            for quantity in (0, 1)
        ]
        rows.append([name, *(f"{value:.1f}" for value in medians), f"{medians[3] / medians[1]:.1f} ×"])
    return rows


def commit_of(root: Path) -> str:
    """The commit that is checked out."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.strip()


HEADER = ["command", "with, wall s", "CPU s", "without, wall s", "CPU s", "CPU, without / with"]
AGAINST = ["command", "before, wall s", "CPU s", "now, wall s", "CPU s"]
SINCE = """\
The same commands of two checkouts, `{before}` and `{now}`, each a fresh process with bytecode, in turn; medians. The
model is linear where no other is named."""
LOAD = """\
Over the last 15 minutes {:.0f} processes wanted to run at a time, these included: where that is more than the cores,
wall times are those of a busy machine, and the processor's times say more."""
METHOD = """\
Each command is a fresh process, with and without bytecode in turn; the figures are medians. "Without" is what a process
pays where `PYTHONDONTWRITEBYTECODE` is set and nothing was compiled when the environment was made: Python finds an
empty folder instead of the bytecode, that of the standard library included."""


def main() -> int:
    """Measures and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", allow_abbrev=False)
    parser.add_argument("--rounds", type=positive_whole, default=3, help="of each command, each way (default 3)")
    parser.add_argument("--vs", type=Path, help="another checkout, to compare this one with")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "STARTUP.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="halflife-startup-") as work:
        rows = compared(given.rounds, Path(work))
        since = [] if given.vs is None else against(given.vs, given.rounds, Path(work))
    parts = [
        "# What a start costs, with bytecode and without",
        "Written by `python -m benchmarks.startup`.",
        machine(),
        LOAD.format(os.getloadavg()[2]),
        METHOD,
        markdown(HEADER, rows),
    ]
    if since:
        named = {"before": commit_of(given.vs), "now": commit_of(ROOT)}
        parts += [SINCE.format(**named), markdown(AGAINST, since)]
    given.out.write_text("\n\n".join(parts) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
